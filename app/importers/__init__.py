"""Waits that others publish: fetched, read, and recorded as observations."""
