"""Webhooks: subscriptions to changes, and the deliveries of each."""
