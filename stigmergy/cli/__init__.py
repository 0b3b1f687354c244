"""The command line, noun verb."""
