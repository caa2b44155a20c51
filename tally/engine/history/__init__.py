"""History: archives derived from others and merged, names renamed, and cells read from files and written to files."""
