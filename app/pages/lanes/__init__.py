"""What pages tell of lanes: for which vehicle they answer, and what is to come."""
