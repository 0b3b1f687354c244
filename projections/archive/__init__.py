"""The archive: every event of the log, kept for years in Parquet files that any tool can query.

``following`` is the role that writes, ``reader`` gives events back, ``checking``, ``compacting`` and ``restoring`` look
after it. Why it cannot lose or double an event: ``docs/decisions/0010-archive-commits.md``. Needs pyarrow, which is in
the extra ``analytics``; so nothing of this folder is imported before it is needed.
"""
