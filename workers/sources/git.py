"""Git, as a program: shallow fetches of one commit, and the list of a work tree's own files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from schemas.errors import InvalidSource, TimedOut, ToolMissing, Unavailable
from workers.sources.configured import redacted
from workers.sources.source import Meter, Progress, Source, SourceLimits, disk_errors

# A repository's own configuration may name programs to start; these settings keep them from being started.
SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never")
SCP_LIKE = re.compile(r"^[\w.-]+@[\w.-]+:(?!//)\S+$")
AT_REF = re.compile(r"^(?P<address>(?:[a-z+]+://[^/]*/|[\w.-]+@[\w.-]+:|(?=.*\.git@)).*?[^/@])@(?P<ref>[^@:]+)$")
REF = re.compile(r"^[A-Za-z0-9][\w./+@-]*$")


def looks_like_git(spec: str) -> bool:
    """An address that only git understands, or a local bare repository."""
    plain = split_ref(spec)[0]
    if spec.startswith("git+") or plain.startswith(("git://", "ssh://", "file://", "http://", "https://", "git@")):
        return True
    return bool(SCP_LIKE.match(plain)) or plain.rstrip("/").endswith(".git") or _bare(Path(plain))


def _bare(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def split_ref(spec: str) -> tuple[str, str | None]:
    """The address and the ref of ``address#ref`` or ``address.git@ref``; a user name before the host is no ref."""
    address, _, ref = spec.removeprefix("git+").partition("#")
    if ref:
        return address, ref
    at = AT_REF.match(address)
    return (at["address"], at["ref"]) if at else (address, None)


def fetch_git(spec: str, into: Path, limits: SourceLimits, progress: Progress) -> Source:
    """Fetch one commit; see `workers.sources.fetch`. Hooks, submodules and large-file filters are not run."""
    address, ref = split_ref(spec)
    if address.startswith("-") or (ref is not None and not REF.match(ref)):
        raise InvalidSource(f"{redacted(address)!r} with the ref {ref!r} cannot be fetched", hint="write ADDRESS#REF")
    if "://" not in address and not SCP_LIKE.match(address):
        address = str(Path(address).expanduser().resolve())
        if not Path(address).is_dir():
            raise InvalidSource(f"there is no git repository at {address}", hint="check the path")
    progress(f"fetching {redacted(address)}{f' at {ref}' if ref else ''}")
    with disk_errors(into):
        git(["init", "--quiet", "--template="], into, limits)
        git(["fetch", "--quiet", "--depth=1", "--no-tags", "--", address, ref or "HEAD"], into, limits, told=address)
        git(["checkout", "--quiet", "--detach", "FETCH_HEAD"], into, limits)
        revision = git(["rev-parse", "HEAD"], into, limits).strip()
        shutil.rmtree(into / ".git")
        notes = _clean(into, Meter(redacted(address), limits))
    name = Path(urlsplit(address).path or address).name.removesuffix(".git") or "repository"
    origin = f"{redacted(address)}#{ref}" if ref else redacted(address)
    return Source(kind="git", origin=origin, name=name.rpartition(":")[2], folder=into, revision=revision, notes=notes)


def _clean(into: Path, meter: Meter) -> tuple[str, ...]:
    """Remove links that lead out of the repository, and measure the rest."""
    notes = []
    root = into.resolve()
    for folder, folders, files in os.walk(into):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                if not leads_inside(path, root):
                    path.unlink()
                    notes.append(f"the link {path.relative_to(into)} leads out of the repository; it was left out")
            elif path.is_file():
                meter.add(path.stat().st_size)
    return tuple(notes[:20])


def leads_inside(link: Path, root: Path) -> bool:
    """A relative link whose end is below ``root``."""
    return not os.path.isabs(os.readlink(link)) and link.resolve().is_relative_to(root)


def git(arguments: list[str], folder: Path, limits: SourceLimits, *, told: str = "") -> str:
    """Run git in ``folder`` and return what it said.

    Raises:
        ToolMissing: git is not installed.
        InvalidSource: git says there is no such repository or ref, or refuses it.
        Unavailable: the host cannot be reached.
        TimedOut: it took too long.
    """
    program = shutil.which("git")
    if program is None:
        raise ToolMissing("git is not installed", hint="install git, or give a folder or pypi:NAME")
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
    env.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        env.pop(name, None)
    try:
        done = subprocess.run(
            [program, *SAFE, *arguments],
            cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=limits.wall_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TimedOut(f"git took longer than {limits.wall_s:.0f} s", hint="try again, or fetch it yourself") from error
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "surrogateescape")
    raise _failure(done.stderr.decode("utf-8", "replace"), redacted(told))


def _failure(said: str, address: str) -> Exception:
    last = redacted_lines(said)
    if re.search(r"[Nn]o space left", said):
        return OSError(28, last)
    if re.search(
        r"Could not resolve|Connection (refused|timed out|reset)|unable to access.*(resolve|connect)|timed out", said
    ):
        return Unavailable(f"{address} cannot be reached: {last}", hint="check the address and the network")
    hint = "check the address and the ref; a private repository needs credentials that git already knows"
    return InvalidSource(f"git cannot fetch {address or 'the repository'}: {last}", hint=hint)


def redacted_lines(said: str) -> str:
    """The last lines git said, without passwords."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("hint:")]
    return re.sub(r"//[^/@\s]+@", "//", " / ".join(lines[-2:]))[:400]
