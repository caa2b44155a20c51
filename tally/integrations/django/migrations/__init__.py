"""The history of the table of archives."""
