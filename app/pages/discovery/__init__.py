"""What search engines, social networks and phones read: addresses, names and pictures of pages."""
