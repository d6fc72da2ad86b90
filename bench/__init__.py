"""How fast the service is, as ratios to what the same machine can do: `make bench`."""
