"""Drawings of statistics and of waits, for pages that show them."""
