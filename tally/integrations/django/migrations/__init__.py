"""The migrations of the table of archives."""
