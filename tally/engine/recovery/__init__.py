"""Backup, restore, check and salvage of archives."""
