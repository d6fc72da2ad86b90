"""Whether the database still holds what the log says it does."""
