"""The project's own metadata: its wheel, built from a copy inside a sandbox, of which only the metadata are kept."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from packaging.utils import canonicalize_name

from schemas.errors import StigmergyError
from workers.environments.installer import Installer, InstallFailed
from workers.sandboxes import Limits, Sandbox, choose

BUILD_LIMITS = Limits(wall_s=120.0, cpu_s=120, memory_bytes=2 * 1024**3, processes=256)
COMPILED = {".so", ".pyd", ".dylib"}


def install_metadata(
    folder: Path, version: str, builder: Path, builder_paths: tuple[Path, ...], python: Path, installer: Installer,
    sandbox: Sandbox | None,
) -> str:  # fmt: skip
    """Build a wheel of a copy of ``folder`` without network, install it, strip its code. Returns a note on failure.

    A failure is no error: most suites run without their own metadata, and the suite itself will tell.
    """
    try:
        guarded = sandbox or choose()
    except StigmergyError as error:
        return f"the project itself was not built: {error.message}"
    with tempfile.TemporaryDirectory(prefix="stigmergy-build-", ignore_cleanup_errors=True) as place:
        copy, out = Path(place).resolve() / "project", Path(place).resolve() / "wheels"
        out.mkdir()
        shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", "node_modules"))
        argv = [str(builder), "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        done = guarded.run(
            [*argv, "--disable-pip-version-check", "--wheel-dir", str(out), "."],
            folder=copy,
            env=_pretend(version) | {"PATH": f"{builder.parent}:/usr/local/bin:/usr/bin:/bin"},
            limits=BUILD_LIMITS,
            read_only=builder_paths,
            writable=[out],
        )
        wheels = [wheel for wheel in out.glob("*.whl") if wheel.is_file() and not wheel.is_symlink()]
        if not done.ok or len(wheels) != 1:
            return f"the project itself could not be built ({done.ended_by}): {_tail(done.stderr or done.stdout)}"
        try:
            installer.install(python, (), wheel=wheels[0])
        except InstallFailed as error:
            return f"the project's own wheel could not be installed: {_tail(error.said)}"
        return strip_code(python, wheels[0].name.partition("-")[0])


def strip_code(python: Path, name: str) -> str:
    """Remove a distribution's code; keep its metadata and scripts. Only the workspace's code can then be imported.

    Returns a note when it has compiled parts: they cannot come from a workspace and are kept.
    """
    site = next(iter((python.parent.parent / "lib").glob("python3*/site-packages")))
    for info in site.glob("*.dist-info"):
        if canonicalize_name(info.name.partition("-")[0]) != canonicalize_name(name):
            continue
        recorded = [line.partition(",")[0].strip('"') for line in (info / "RECORD").read_text("utf-8").splitlines()]
        inside = [site / path for path in recorded if not path.startswith(("..", "/", info.name))]
        if any(path.suffix in COMPILED for path in inside):
            return "the project has compiled parts; they come from its release, not from the workspace"
        for path in inside:
            path.unlink(missing_ok=True)
        _prune({path.parent for path in inside if path.parent != site}, site)
    return ""


def _prune(folders: set[Path], site: Path) -> None:
    """Remove folders that hold nothing any more, inner ones first; what compiling left there is nothing."""
    every = {parent for folder in folders for parent in (folder, *folder.parents) if site in parent.parents}
    for folder in sorted(every, key=lambda path: -len(path.parts)):
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _pretend(version: str) -> dict[str, str]:
    """Builds that ask git for the version are told it: the copy has no history."""
    told = version or "0.0.0"
    return {"SETUPTOOLS_SCM_PRETEND_VERSION": told, "PBR_VERSION": told, "POETRY_DYNAMIC_VERSIONING_BYPASS": told}


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-400:]
