"""Files of a data directory: their formats, how they are opened, locked and replaced, and their errors."""
