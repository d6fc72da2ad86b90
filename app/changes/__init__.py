"""The change log: every committed step, numbered and chained."""
