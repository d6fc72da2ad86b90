"""Crossings and borders with their statuses: details, lists, alternatives."""
