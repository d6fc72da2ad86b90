"""Crossing Status."""
