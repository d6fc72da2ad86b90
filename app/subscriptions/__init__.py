"""Webhooks: who wants to hear of which changes, and what each was told."""
