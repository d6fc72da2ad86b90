"""Backups: of the embedded PostgreSQL by its own programs, of any other by a logical dump."""
