"""Pages about a border."""
