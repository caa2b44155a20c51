"""Graphite's words for tally's archives: paths, targets, functions and times, translated into questions to the engine.

Nothing here knows HTTP: `tally.api.graphite` hands on what was asked, and what is answered.
"""
