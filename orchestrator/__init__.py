"""Decides: what a mission does next, and how a task becomes an attempt."""
