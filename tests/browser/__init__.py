"""The dashboard in a real browser, before a real `tally serve` that takes real samples."""
