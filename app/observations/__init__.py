"""Observations: waits on lanes as they were measured, and what is known of them now."""
