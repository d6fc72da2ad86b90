"""The data that the service starts with: files, and how they are loaded as any write is."""
