"""Graphite's query language for tally's archives: paths, targets, functions and times.

This package does not know HTTP. `tally.api.graphite` reads requests and sends the answers.
"""
