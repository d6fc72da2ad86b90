"""The page about the service itself."""
