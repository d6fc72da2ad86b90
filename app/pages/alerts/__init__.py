"""The pages of alerts: ask to be told, confirm it, end it."""
