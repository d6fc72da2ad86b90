"""The seeds: files with the initial data, loaded by the same functions as any other write."""
