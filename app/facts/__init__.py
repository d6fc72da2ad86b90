"""Sources, and every fact that was drawn from each."""
