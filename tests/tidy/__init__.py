"""The rules of layout and size, held by reading the code."""
