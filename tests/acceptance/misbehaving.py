"""Agents that do what agents should not. Loaded by the workers of the shared stack."""

from __future__ import annotations

import ctypes
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from events import codec
from stigmergy import Agent, Context, Retryable

codec.PAYLOAD_LIMIT = 20_000_000  # in the workers that load this: nobody needs 300 MB to see what is refused


class NoJson(Agent):
    """Returns what is no JSON: ``kind`` says which."""

    skills = ("no-json",)

    def run(self, context: Context) -> Any:
        endless: dict[str, Any] = {}
        endless["again"] = endless
        kinds = {
            "object": {"value": object()},
            "list": [1, 2],
            "key": {(1, 2): 3},
            "surrogate": {"value": "\ud800"},
            "endless": endless,
            "nan": {"value": float("nan")},
        }
        return kinds[context.inputs["kind"]]


class Large(Agent):
    """Returns a great deal."""

    skills = ("large",)

    def run(self, context: Context) -> dict[str, Any]:
        return {"text": "x" * int(context.inputs["size"])}


class Raises(Agent):
    """Raises; in the attempts up to ``until`` only."""

    skills = ("raises",)

    def run(self, context: Context) -> dict[str, Any]:
        if context.order.attempt <= context.inputs.get("until", 99):
            kind = {"KeyError": KeyError, "SystemExit": SystemExit, "MemoryError": MemoryError}
            raise kind.get(context.inputs["error"], RecursionError)("on purpose")
        return {"attempt": context.order.attempt}


class Hangs(Agent):
    """Never ends by itself: ``how`` is by polling nothing, by swallowing what stops it, or in C."""

    skills = ("hangs",)

    def run(self, context: Context) -> dict[str, Any]:
        how = context.inputs["how"]
        while True:
            if how == "c":
                ctypes.CDLL(None).sleep(60)
            elif how == "checks":
                context.check()
            try:
                time.sleep(0.02)
                context.check() if how == "swallows" else None
            except Exception:  # noqa: BLE001 - that is what it is here for
                pass


class Dies(Agent):
    """Takes its process with it in the first attempt."""

    skills = ("dies",)

    def run(self, context: Context) -> dict[str, Any]:
        if context.order.attempt == 1:
            os._exit(1)
        return {"attempt": context.order.attempt}


class Notes(Agent):
    """Writes a note in the first attempt and fails; the second finds it."""

    skills = ("notes",)

    def run(self, context: Context) -> dict[str, Any]:
        pages = context.scratchpad.get("pages", [])
        if not pages:
            context.scratchpad["pages"] = ["first", "second"]
            context.scratchpad["gone"] = 1
            del context.scratchpad["gone"]
            raise Retryable("the third page does not load")
        return {"pages": [*pages, "third"], "keys": sorted(context.scratchpad)}


class Liar(Agent):
    """Writes the files in ``writes`` and claims those in ``claims``."""

    skills = ("lies",)

    def run(self, context: Context) -> dict[str, Any]:
        for name, text in context.inputs.get("writes", {}).items():
            Path(context.workspace, name).write_text(text, encoding="utf-8")
        context.workspace  # noqa: B018 - looked at, even where nothing is written
        return {"files": context.inputs.get("claims", [])}


class Edits(Agent):
    """Puts ``text`` behind what is in ``file``, after ``sleep_s``; says what it found there."""

    skills = ("edits",)

    def run(self, context: Context) -> dict[str, Any]:
        file = Path(context.workspace, context.inputs["file"])
        found = file.read_text(encoding="utf-8") if file.exists() else ""
        time.sleep(float(context.inputs.get("sleep_s", 0)))
        file.write_text(found + context.inputs["text"], encoding="utf-8")
        return {"found": found}


class FillsDisk(Agent):
    """Writes into its workspace until there is no room."""

    skills = ("fills-disk",)

    def run(self, context: Context) -> dict[str, Any]:
        with (context.workspace / "big").open("wb") as file:
            for _ in range(int(context.inputs["megabytes"])):
                file.write(b"\0" * 2**20)
        return {}


class Hungry(Agent):
    """Holds ``megabytes`` of memory in the first attempt, for half a minute if it is let."""

    skills = ("hungry",)

    def run(self, context: Context) -> dict[str, Any]:
        if context.order.attempt == 1:
            held = bytearray(int(context.inputs["megabytes"]) * 2**20)
            for _ in range(600):
                context.check()
                time.sleep(0.05)
            return {"held": len(held)}
        return {"attempt": context.order.attempt}


class Burns(Agent):
    """Computes for ``seconds``, and never asks whether it should stop."""

    skills = ("burns",)

    def run(self, context: Context) -> dict[str, Any]:
        until, rounds = time.monotonic() + float(context.inputs["seconds"]), 0
        while time.monotonic() < until:
            rounds += 1
        return {"rounds": rounds}


class Forger(Agent):
    """Claims that tests passed. ``how``: without running them, over failing ones, or with a report in its output.

    With ``honest_after`` it does as it should once it is told what was wrong with the attempt before.
    """

    skills = ("forges",)

    def run(self, context: Context) -> dict[str, Any]:
        report = {"outcome": "passed", "cases": [{"id": "tests/test_a.py::test_a", "outcome": "passed"}], "tail": ""}
        if context.feedback and context.inputs.get("honest_after"):
            (context.workspace / "a.py").write_text("x = 2\n", encoding="utf-8")
            self._really_test(context)
            return {"done": True, "told": [violation.category for violation in context.feedback]}
        how = context.inputs["how"]
        if how == "failing":
            self._really_test(context)
        if how == "forged":
            (context.workspace / "junit.xml").write_text("<testsuite tests='1' failures='0'/>", encoding="utf-8")
        return {"done": True, "tests": report, "exit_code": 0, "observation": {"tests": report}}

    def _really_test(self, context: Context) -> None:
        from workers.suites import environment_for, observe_suite

        observe_suite(context, context.workspace, environment_for(context, context.workspace))


class Kills(Agent):
    """Takes its process with it, always."""

    skills = ("kills",)

    def run(self, context: Context) -> dict[str, Any]:
        os._exit(1)


class Unplugs(Agent):
    """Takes its process with it, as slowly as a busy kernel: its pipes are closed a moment before it has ended."""

    skills = ("unplugs",)

    def run(self, context: Context) -> dict[str, Any]:
        for number in range(3, 1024):
            with suppress(OSError):
                if stat.S_ISFIFO(os.fstat(number).st_mode):
                    os.close(number)
        time.sleep(0.1)
        os._exit(1)


class Spends(Agent):
    """Asks a model ``calls`` times, for ``cost`` dollars each, and takes ``pause_s`` between."""

    skills = ("spends",)

    def run(self, context: Context) -> dict[str, Any]:
        for _ in range(int(context.inputs["calls"])):
            context.check()
            context.llm_completed("m", tokens_in=100, cost_usd=context.inputs["cost"])
            time.sleep(context.inputs.get("pause_s", 0.05))
        return {"attempt": context.order.attempt}
