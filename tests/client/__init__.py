"""The client, against the service."""
