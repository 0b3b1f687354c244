"""LangGraph with its SQLite checkpointer: one process, the graph's supersteps checkpointed; no queue and no workers."""

from __future__ import annotations

import operator
import os
import sqlite3
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.peers.rounds import Needs, Record, answer, dependents_of

FOLDER = "BENCH_FOLDER"
record = Record()


class State(TypedDict):
    """What the nodes share: the tasks that have ended."""

    done: Annotated[list[str], operator.add]


def _node(run: str, task: str) -> Any:
    def act(_state: State) -> dict[str, list[str]]:
        record.note(run, task, time.monotonic_ns())
        return {"done": [task]}

    return act


def _compiled(run: str, needs: Needs, saver: SqliteSaver) -> Any:
    builder, after = StateGraph(State), dependents_of(needs)
    for task, before in needs.items():
        builder.add_node(task, _node(run, task))
        builder.add_edge(list(before) if len(before) > 1 else (before[0] if before else START), task)
        if not after[task]:
            builder.add_edge(task, END)
    return builder.compile(checkpointer=saver)


def main() -> None:
    """Drive. Building the graph is part of a round, as a plan is part of a submission."""
    connection = sqlite3.connect(Path(os.environ[FOLDER]) / "checkpoints.sqlite", check_same_thread=False)
    saver = SqliteSaver(connection)

    def play(run: str, needs: Needs) -> None:
        graph = _compiled(run, needs, saver)
        config = {"configurable": {"thread_id": run}, "recursion_limit": len(needs) + 10}
        if len(graph.invoke({"done": []}, config)["done"]) != len(needs):
            raise RuntimeError("not all nodes ran")

    play("first", {"first": []})
    answer(play)


if __name__ == "__main__":
    main()
