"""tally within frameworks."""
