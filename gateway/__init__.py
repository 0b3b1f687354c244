"""HTTP, for those who are not on the bus."""
