"""Statistics over a range: time by status, closures, and median waits."""
