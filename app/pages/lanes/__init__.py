"""What pages show of lanes: the vehicle that they answer for, and what is to come."""
