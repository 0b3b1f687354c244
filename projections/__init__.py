"""Read models folded from the log, each the only writer of its store."""
