"""Lines of files and pipes, for ``stig events publish``."""

from __future__ import annotations

import asyncio
import io
import os
import threading

import pytest

from stigmergy.cli import lines as module
from stigmergy.cli.lines import Lines

pytestmark = pytest.mark.timeout(10)


async def test_many_lines_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AHEAD", 7)
    text = [f"{number}\n" for number in range(5000)]
    assert [line async for line in Lines(io.StringIO("".join(text)))] == text


async def test_the_rest_is_whole_lines_up_to_a_size() -> None:
    lines = Lines(io.StringIO("a\nbb\ncc\ndd\n"))
    assert await anext(lines) == "a\n"
    assert await lines.rest(4) == "bb\ncc\n"
    assert await lines.rest(100) == "dd\n"
    assert await lines.rest(100) == ""


async def test_a_line_of_a_slow_pipe_comes_at_once() -> None:
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as file:
        lines = Lines(file)
        for text in ("one\n", "two\n"):
            os.write(writing, text.encode())
            assert await asyncio.wait_for(anext(lines), 5) == text
        os.close(writing)
        with pytest.raises(StopAsyncIteration):
            await anext(lines)


async def test_a_file_that_cannot_be_read_on_says_so() -> None:
    class Broken(io.StringIO):
        def __next__(self) -> str:  # type: ignore[override]  # a text file, whatever its base says
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await anext(Lines(Broken("a\nb\n")))


async def test_its_thread_ends_when_nobody_wants_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AHEAD", 2)
    before = set(threading.enumerate())
    lines = Lines(io.StringIO("x\n" * 100))
    assert await anext(lines) == "x\n"
    lines.stop()
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive() or not thread.name.startswith("lines")
