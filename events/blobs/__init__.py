"""Content by its hash: payloads and packs that are too large for a message."""
