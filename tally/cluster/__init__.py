"""Replicates archives into ClickHouse, where many collectors come together: see docs/cluster.md."""
