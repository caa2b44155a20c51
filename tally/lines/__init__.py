"""Lines: what may stand on the wire, parsed and written. Pure: no socket, no clock, no file."""
