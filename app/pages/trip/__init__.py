"""The page about a trip: several crossings, for one traveller, on one day."""
