"""The simulations of a cluster have its server and its databases."""

from tests.cluster.conftest import address, clickhouse

__all__ = ["address", "clickhouse"]
