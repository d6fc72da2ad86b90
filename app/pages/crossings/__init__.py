"""Pages about one crossing."""
