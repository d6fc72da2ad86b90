"""The page on which reporters report a change."""
