"""The heart: pure functions. Time and ids come in; facts go out."""
