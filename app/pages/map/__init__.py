"""The map of all crossings, and the list beside it."""
