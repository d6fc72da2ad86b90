"""Runs PostgreSQL from an installed package beside the service."""
