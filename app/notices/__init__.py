"""Notices, cited facts that are no status; incidents, the stories that gather them."""
