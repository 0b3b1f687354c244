"""How facts are written, kept and read."""
