"""Samples on their way into an archive: aggregated in memory, committed once, expired and sealed."""
