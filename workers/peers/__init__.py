"""Asking agents of other workers, and answering them."""
