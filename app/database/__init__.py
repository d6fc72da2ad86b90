"""Sessions, tables and the schema: the way to PostgreSQL."""
