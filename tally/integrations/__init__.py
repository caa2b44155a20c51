"""Frameworks that tally fits into, each a translation in a package of its own."""
