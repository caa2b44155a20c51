"""Writing: aggregates samples in memory, commits them to archives, and expires and seals buckets."""
