"""Environments under one root, each built once and kept by the hash of what it holds.

A virtual environment has its own path written into it, so it is built where it will stay: a completion marker, written
last and renamed into place, tells a whole one from the remains of a crash.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from schemas.errors import DiskFull, InvalidInput
from workers.environments.environment import Environment, base_python
from workers.environments.installer import Installer, InstallFailed
from workers.environments.locking import locked
from workers.environments.plan import Plan, from_build, make_plan
from workers.environments.project import install_metadata, strip_code
from workers.sandboxes import Sandbox

TEST_EXTRAS = ("test", "tests", "testing", "dev")
MARKER = "complete.json"
KEPT = 40
YOUNG_S = 3600.0
Progress = Callable[[str], None]


class EnvironmentStore:
    """Prepares environments.

    Args:
        root: where they are kept; made when missing.
        python: the interpreter they are made with; this process's own when not given.
        sandbox: where a project is built when its metadata are needed; the strongest one when not given.
        keep: how many are kept; the ones longest unused go first, none that was used within the last hour.
    """

    def __init__(
        self, root: Path, *, python: Path | None = None, sandbox: Sandbox | None = None, keep: int = KEPT
    ) -> None:
        self._root = root.resolve()
        self._python = python or base_python()
        self._sandbox = sandbox
        self._keep = keep

    def prepare(
        self,
        project_folder: Path,
        *,
        requirement: str | None = None,
        extras_wanted: Sequence[str] = TEST_EXTRAS,
        progress: Progress | None = None,
    ) -> Environment:
        """An environment for the project's tests, from the store or new. Nothing of the project runs outside a sandbox.

        Args:
            project_folder: the root of the project; it is only read.
            requirement: ``name==version`` when it is a release from the package index.
            extras_wanted: names of extras and dependency groups with test requirements.
            progress: told what is being done.

        Raises:
            InvalidInput: the folder is none, or ``requirement`` cannot be read.
            Permanent: something mandatory cannot be installed.
            Unavailable: the package index cannot be reached, or there is neither uv nor pip.
            DiskFull, TimedOut: as they say.
        """
        if not project_folder.is_dir():
            raise InvalidInput(f"{project_folder} is not a folder", hint="give the root of a project")
        try:
            plan = make_plan(project_folder, requirement, extras_wanted)
        except InvalidRequirement as error:
            raise InvalidInput(f"{requirement!r} is no requirement: {error}", hint="write name==version") from error
        tell = progress or _silent
        if requirement is None:
            return self._get(plan, project_folder, tell)
        try:
            return self._get(plan, project_folder, tell)
        except InstallFailed:
            return self._get(from_build(plan, project_folder, requirement), project_folder, tell)

    def _get(self, plan: Plan, folder: Path, tell: Progress) -> Environment:
        key = plan.key(str(self._python.resolve()))
        place = self._root / key
        known = _read_marker(place)
        if known is not None:
            return self._environment(place, known)
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with locked(
                self._root / f"{key}.lock", lambda: tell("waiting for another worker to build the environment")
            ):
                notes = _read_marker(place)  # the other may have built it meanwhile
                if notes is None:
                    notes = self._build(plan, folder, place, tell)
                    _write_marker(place, notes)
        except OSError as error:
            if error.errno == 28:
                raise DiskFull(f"no space is left under {self._root}", hint="free space there") from error
            raise
        self._sweep()
        return self._environment(place, notes)

    def _build(self, plan: Plan, folder: Path, place: Path, tell: Progress) -> tuple[str, ...]:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        installer = Installer(self._python)
        tell("making a virtual environment")
        python = installer.create(place / "venv")
        tell(f"installing {', '.join((*plan.mandatory, *plan.optional))}"[:300])
        notes = [*plan.notes, *_install(installer, python, plan)]
        if plan.own:
            notes.append(strip_code(python, plan.own))
        if plan.build is not None:
            tell("building the project for its metadata")
            notes.append(self._build_project(plan, folder, python, installer, tell))
        installer.compile(python)
        return tuple(note for note in notes if note)

    def _build_project(self, plan: Plan, folder: Path, python: Path, installer: Installer, tell: Progress) -> str:
        try:
            builder = self._get(Plan(mandatory=plan.build or (), optional=(), notes=()), folder, tell)
        except InstallFailed as error:
            return f"what the project's build needs cannot be installed: {error.said[-300:]}"
        paths = builder.read_only_paths
        return install_metadata(folder, plan.version, builder.python, paths, python, installer, self._sandbox)

    def _environment(self, place: Path, notes: tuple[str, ...]) -> Environment:
        os.utime(place / MARKER)
        home = self._python.resolve().parent.parent
        venv = place / "venv"
        shown = (venv,) if home in (Path("/"), Path("/usr")) else (venv, home)
        return Environment(python=venv / "bin" / "python", key=place.name, read_only_paths=shown, notes=notes)

    def _sweep(self) -> None:
        """Remove the environments longest unused beyond those that are kept."""
        used = sorted(((m.stat().st_mtime, m.parent) for m in self._root.glob(f"*/{MARKER}")), reverse=True)
        for when, place in used[self._keep :]:
            if time.time() - when > YOUNG_S:
                (place / MARKER).unlink(missing_ok=True)  # first: without it nobody takes it for whole
                shutil.rmtree(place, ignore_errors=True)


def _install(installer: Installer, python: Path, plan: Plan) -> list[str]:
    """Everything at once; when that fails, the mandatory, then the others one by one."""
    try:
        installer.install(python, [*plan.mandatory, *plan.optional])
    except InstallFailed as everything:
        if not plan.optional:
            raise _final(everything, plan) from everything
    else:
        return []
    try:
        installer.install(python, plan.mandatory)
    except InstallFailed as error:
        raise _final(error, plan) from error
    return [note for want in plan.optional if (note := _install_one(installer, python, want))]


def _install_one(installer: Installer, python: Path, want: str) -> str:
    """One optional requirement, else any version of it; returns a note when it is not as asked."""
    name = Requirement(want).name
    for wish in dict.fromkeys((want, name)):
        try:
            installer.install(python, [wish])
        except InstallFailed:
            continue
        return "" if wish == want else f"{want} cannot be installed; another version was taken"
    return f"{want} is for the tests and cannot be installed"


def _final(error: InstallFailed, plan: Plan) -> Exception:
    """A release without a wheel may yet be built; anything else is the end."""
    told = error.as_error(", ".join(plan.mandatory))
    return error if plan.own and told.code == "permanent" else told


def _read_marker(place: Path) -> tuple[str, ...] | None:
    try:
        return tuple(json.loads((place / MARKER).read_text("utf-8"))["notes"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _write_marker(place: Path, notes: tuple[str, ...]) -> None:
    new = place / f"{MARKER}.new"
    new.write_text(json.dumps({"notes": notes}), "utf-8")
    new.replace(place / MARKER)


def _silent(_line: str) -> None:
    return None
