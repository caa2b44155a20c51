"""Clients of other projects, each with a running collector."""
