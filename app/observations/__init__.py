"""Observations: waits on lanes as they were measured, and the present waits from them."""
