"""tally within Django."""
