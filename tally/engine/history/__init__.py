"""History: archives filled from others, and cells brought in from files and written to files."""
