"""The shapes of everything that crosses a process border. Imports nothing else of ours."""
