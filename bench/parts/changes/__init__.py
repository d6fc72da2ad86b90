"""Changes on their way out: to another worker, to followers, to receivers."""
