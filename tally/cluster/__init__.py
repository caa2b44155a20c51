"""Replicates archives into ClickHouse, where many collectors come together, and answers from it: docs/cluster.md."""
