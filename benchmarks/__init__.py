"""How fast it is, beside what users would take instead. Each module is a program: ``python -m benchmarks.NAME``."""
