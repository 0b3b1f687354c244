"""The analytics read model: every event as a row in ClickHouse, and rollups that the engine keeps while rows come in.

``following`` is the role that writes, ``rows`` makes Arrow of events, ``store`` knows what is promised and what is
done, ``engine`` speaks to a server or to chDB, ``ddl`` makes the tables. Why nothing is lost or doubled:
``docs/decisions/0011-analytics-ranges.md``. Needs pyarrow and clickhouse-connect, which are in the extra
``analytics``; so nothing of this folder is imported before it is needed.
"""
