"""The page on which reporters tell of a change."""
