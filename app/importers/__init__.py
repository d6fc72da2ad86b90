"""Waits that agencies publish: fetched, parsed, and recorded as observations."""
