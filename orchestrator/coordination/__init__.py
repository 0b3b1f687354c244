"""How agents come to agree. Pure functions: no clock, no I/O; :mod:`orchestrator.core` decides by them."""
