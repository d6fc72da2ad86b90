"""The process that tells of changes, and how it is kept beside those that serve."""
