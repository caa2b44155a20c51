"""The files of a data directory: their format, how they are opened, locked and replaced, and what their errors mean."""
