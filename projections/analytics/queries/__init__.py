"""Questions to the analytics read model: templates with parameters, and SQL of one's own, for one tenant at a time.

``port`` says what is asked and how answers come; ``clickhouse`` answers from a server or from the engine inside the
process, ``service`` asks the process that has it, ``answering`` is that process's role. ``registry`` finds the
templates, ``guard`` decides which SQL is let through; what that holds and what not:
``docs/decisions/0012-own-sql.md``.
"""
