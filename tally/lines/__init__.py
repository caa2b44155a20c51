"""The wire format: parses and writes lines. Pure: no socket, no clock, no file."""
