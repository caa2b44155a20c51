"""Clients that others have written, each against a running collector."""
