"""``stig events publish --progress``: interrupted at any moment, begun again, and every event is on the log once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.port import Window

PROGRAM = Path(__file__).resolve().parents[2] / "stigmergy" / "cli" / "__main__.py"
LINES = 120_000


def written(path: Path, numbers: range, *, mode: str = "w") -> None:
    with path.open(mode) as file:
        file.writelines(json.dumps({"type": "note.posted", "data": {"text": f"{n}"}}) + "\n" for n in numbers)


def start(folder: Path, url: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", str(PROGRAM), "events", "publish", "notes.ndjson", "--progress", "done", *options],
        cwd=folder,
        env={**os.environ, "STIGMERGY_NATS_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


async def texts(nats: Client) -> Counter[str]:
    log = await JetStreamLog.open(nats)
    window = Window(("events.default.*.note.>",))
    return Counter([json.loads(bytes(event.data))["text"] async for event in log.read(window)])


async def test_killed_again_and_again_nothing_is_lost_or_doubled(nats: Client, nats_url: str, tmp_path: Path) -> None:
    written(tmp_path / "notes.ndjson", range(LINES))
    log = await JetStreamLog.open(nats)
    killed = 0
    for frames in (1, 60, 90):
        with start(tmp_path, nats_url) as process:
            deadline = time.monotonic() + 60
            while await log.last_sequence() < frames and process.poll() is None:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.005)
            process.kill()
            killed += process.wait() == -signal.SIGKILL
    assert killed, "it is quick, and may be done before it is killed for the last time"
    _, err = ended(start(tmp_path, nats_url))
    assert "an earlier try had done" in err
    counted = await texts(nats)
    assert (len(counted), counted.total()) == (LINES, LINES)


async def test_a_file_that_has_grown_goes_on_at_its_new_lines(nats: Client, nats_url: str, tmp_path: Path) -> None:
    written(tmp_path / "notes.ndjson", range(3))
    ended(start(tmp_path, nats_url))
    written(tmp_path / "notes.ndjson", range(3, 5), mode="a")
    out, _ = ended(start(tmp_path, nats_url, "--json"))
    assert json.loads(out)["counts"] == {"published": 2, "duplicates": 0, "lines_done_before": 3, "errors": 0}
    assert await texts(nats) == Counter({str(n): 1 for n in range(5)})
    written(tmp_path / "notes.ndjson", range(7, 20))
    _, err = ended(start(tmp_path, nats_url), code=2)
    assert "the first 5 lines are not those that were published before" in err
    assert (await texts(nats)).total() == 5


@pytest.mark.parametrize("kept", ["", "{}", '{"run": 1}', "[]"])
def test_what_is_no_progress_is_refused(nats_url: str, tmp_path: Path, kept: str) -> None:
    written(tmp_path / "notes.ndjson", range(3))
    (tmp_path / "done").write_text(kept)
    _, err = ended(start(tmp_path, nats_url), code=2)
    assert "done tells no progress" in err
    assert (tmp_path / "done").read_text() == kept
