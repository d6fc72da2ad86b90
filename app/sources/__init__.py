"""Where facts come from, and the citations that lead there."""
