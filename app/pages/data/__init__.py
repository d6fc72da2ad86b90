"""The page about the data: every download, its columns, its licence, and how to cite it."""
