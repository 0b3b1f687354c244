"""``stig run repair``: from a repository to a patch."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import InvalidInput
from stigmergy.cli import screen
from stigmergy.cli.endings import DONE, tell_error
from stigmergy.cli.repair_screen import show
from stigmergy.cli.run import ending_of
from stigmergy.repair_report import RepairReport, report
from workers.sources import Source, fetch
from workers.workspaces import MemoryBlobs, WorkspaceStore

if TYPE_CHECKING:
    from stigmergy.client import Client
    from stigmergy.missions import MissionView
    from stigmergy.settings import Settings


@dataclass(frozen=True, slots=True)
class LoopBlobs:
    """The blob store of a client, for threads: each call waits for the client's loop."""

    client: Client
    loop: asyncio.AbstractEventLoop

    def put(self, data: bytes) -> str:
        return self._wait(self.client.bus.log.blobs.put(data))

    def get(self, digest: str) -> bytes:
        return self._wait(self.client.bus.log.blobs.get(digest))

    def has(self, digest: str) -> bool:
        return self._wait(self.client.bus.log.blobs.has(digest))

    def _wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


def repair(spec: str, *, apply: bool, output: Path | None, as_json: bool, quiet: bool, timeout_s: float | None) -> int:
    """Fetch, submit, follow, write the patch, report. Returns the exit code."""
    from stigmergy.cli.borrowed import running_stack
    from stigmergy.settings import Settings

    settings = Settings()
    console = screen.err()
    say: Callable[[str], None] = (lambda text: None) if quiet else (lambda text: console.print(f"[dim]{text}[/]"))
    _check(spec, apply, output)
    with tempfile.TemporaryDirectory(prefix="stigmergy-") as place:
        source = fetch(spec, Path(place) / "source", lambda line: say(screen.plain(line)))
        for note in source.notes:
            say(f"note: {screen.plain(note)}")
        with running_stack(settings, console.print):
            view, interrupted = asyncio.run(_mission(settings, source, say, quiet=quiet, timeout_s=timeout_s))
    done = report(view)
    patch = _write_patch(view, output or Path(f"{source.name}.patch"))
    applied, code = False, ending_of(view, interrupted=interrupted)
    if apply and patch is not None:
        applied, code = _apply(settings, view, Path(source.origin), code)
    if as_json:
        screen.print_json(_document(view, done, patch, applied=applied))
    else:
        folder = Path(source.origin) if source.kind == "path" else None
        show(done, screen.out(), name=source.name, patch=patch, folder=folder, applied=applied)
    return code


def _check(spec: str, apply: bool, output: Path | None) -> None:
    """What can be known to go wrong at the end is said at the beginning."""
    if apply and not Path(spec).expanduser().is_dir():
        raise InvalidInput(f"--apply needs a folder, and {spec!r} is none", hint="leave --apply out and use the patch")
    place = output.parent if output is not None else Path()
    if not place.is_dir():
        raise InvalidInput(f"there is no folder {place}", hint="make it, or choose another --output")
    if output is not None and output.is_dir():
        raise InvalidInput(f"{output} is a folder", hint=f"for instance: --output {output / 'mended.patch'}")


async def _mission(
    settings: Settings, source: Source, say: Callable[[str], None], *, quiet: bool, timeout_s: float | None
) -> tuple[MissionView, bool]:
    from stigmergy.cli.following import Follower
    from stigmergy.client import Client

    async with Client(settings, name="cli") as client:
        blobs = LoopBlobs(client, asyncio.get_running_loop())
        store = WorkspaceStore(settings.state_dir / "workspaces.git", blobs)
        snapshot = await asyncio.to_thread(store.snapshot, source.folder)
        say(f"{screen.counted(snapshot.files, 'file')}, {screen.size(snapshot.size_bytes)}")
        handle = await client.submit(
            f"Repair {source.name}" + (f" {source.version}" if source.version else ""),
            workflow="repair",
            inputs={"workspace": snapshot.model_dump(mode="json"), "project": _project(source)},
        )
        follower = Follower(client, handle, quiet=quiet)
        return await follower.to_the_end(timeout_s), follower.interrupted


def _project(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "version": source.version,
        "requirement": source.requirement,
        "origin": source.origin,
        "kind": source.kind,
    }


def _write_patch(view: MissionView, path: Path) -> Path | None:
    text = view.result.get("patch")
    if not text:
        return None
    try:
        # The patch holds the lines of files as they are; a translated line end would make it fit nothing.
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
    except OSError as error:
        raise InvalidInput(
            f"cannot write the patch to {path}: {error.strerror}",
            hint=f"the mission keeps it: stig mission show {view.id} --json",
        ) from error
    return path


def _apply(settings: Settings, view: MissionView, folder: Path, code: int) -> tuple[bool, int]:
    from schemas.errors import StigmergyError

    try:
        WorkspaceStore(settings.state_dir / "workspaces.git", MemoryBlobs()).apply(view.result["patch"], folder)
    except StigmergyError as error:  # the report is still worth reading, and the patch is there
        return False, tell_error(error) or code
    return True, DONE


def _document(view: MissionView, done: RepairReport, patch: Path | None, *, applied: bool) -> dict[str, Any]:
    return {
        "mission": view.model_dump(mode="json"),
        "report": done.model_dump(mode="json"),
        "patch_file": str(patch.resolve()) if patch else None,
        "applied": applied,
    }
