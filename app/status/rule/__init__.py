"""The resolution rule: pure functions of values and instants."""
