"""Lanes on the pages: the requested vehicle, and upcoming statuses."""
