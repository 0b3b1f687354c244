"""uv where it is there, else pip: virtual environments, and wheels put into them.

Wheels only: installing a wheel runs nothing of it, building a source distribution runs whatever its author wrote.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from schemas.errors import AttemptFailed, DiskFull, Permanent, StigmergyError, TimedOut, ToolMissing, Unavailable
from workers.sources.configured import pip_command, pip_settings

INSTALL_TIMEOUT_S = 600.0
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
}
SELDOM_IMPORTED = r"/(tests|lexers|styles|formatters|pip|setuptools)/"
NETWORK = re.compile(
    r"error sending request|dns error|Temporary failure in name|Name or service not known"
    r"|Connection (refused|reset)"
    r"|[Nn]etwork is unreachable|timed out|Failed to establish a new connection"
    r"|tcp connect|ConnectError|Could not connect"
)


class InstallFailed(Exception):
    """The installer gave up; ``said`` is the tail of what it said. It does not leave this folder."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said

    def as_error(self, what: str) -> StigmergyError:
        """The error for the caller: is it the network, the disk, or the requirement?"""
        tail = self.said.strip()[-1500:]
        if "No space left" in tail:
            return DiskFull(f"no space is left to install {what}", hint="free space, or sweep old environments")
        if NETWORK.search(tail):
            return Unavailable(f"the package index cannot be reached for {what}: {tail}", hint="check the network")
        hint = (
            "install it by hand once to see what is wrong; requirements without a wheel for this Python are not built"
        )
        return Permanent(f"{what} cannot be installed: {tail}", hint=hint)


class Installer:
    """Makes environments with one interpreter."""

    def __init__(self, python: Path) -> None:
        self._python = python
        self._uv = find_uv()
        self._pip = pip_command()
        if self._uv is None and self._pip is None:
            raise ToolMissing("neither uv nor pip is there", hint="install uv, or pip into this worker's environment")

    def create(self, venv: Path) -> Path:
        """Make an empty environment and return its interpreter.

        Raises:
            AttemptFailed: the interpreter cannot make one.
        """
        if self._uv is not None:
            argv = [self._uv, "venv", "--quiet", "--no-project", "--python", str(self._python), str(venv)]
        else:
            argv = [str(self._python), "-m", "venv", "--without-pip", str(venv)]
        try:
            self._run(argv)
        except InstallFailed as error:
            hint = "on Debian, install python3-venv; or install uv"
            raise AttemptFailed(f"no virtual environment could be made: {error.said[-500:]}", hint=hint) from error
        return venv / "bin" / "python"

    def install(self, python: Path, requirements: Sequence[str], *, wheel: Path | None = None) -> None:
        """Install requirements from wheels; or one local ``wheel``, without what it depends on.

        Raises:
            InstallFailed: with the installer's last words.
        """
        what = ["--no-deps", "--no-index", str(wheel)] if wheel is not None else ["--", *requirements]
        if self._uv is not None:
            head = [self._uv, "pip", "install", "--quiet", "--python", str(python), "--no-build", "--link-mode=copy"]
            self._run([*head, *what], _uv_env())
            return
        head = [
            *(self._pip or []),
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-compile",
            "--only-binary",
            ":all:",
        ]
        self._run([*head, "--no-input", "--disable-pip-version-check", *what])

    def compile(self, python: Path) -> None:
        """Compile what is installed once, because guests see it read-only; not what a test run seldom imports.

        uv can compile too, but everything: for pandas alone that took longer than most suites run.
        """
        site = [str(path) for path in (python.parent.parent / "lib").glob("python3*/site-packages")]
        argv = [str(python), "-I", "-S", "-m", "compileall", "-q", "-x", SELDOM_IMPORTED, *site]
        try:
            self._run(argv)
        except InstallFailed:
            return  # a file of templates or of another Python does not compile; the others did

    def _run(self, argv: list[str], more: dict[str, str] | None = None) -> None:
        drop = {
            "VIRTUAL_ENV",
            "PYTHONPATH",
            "PYTHONHOME",
            "PIP_TARGET",
            "PIP_PREFIX",
            "PIP_USER",
            "PIP_REQUIRE_VIRTUALENV",
        }
        env = {k: v for k, v in os.environ.items() if k not in drop} | (more or {})
        try:
            done = subprocess.run(
                argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"{argv[0]} took longer than {INSTALL_TIMEOUT_S:.0f} s", hint="check the network") from error
        except OSError as error:
            raise ToolMissing(f"{argv[0]} cannot be started: {error}", hint="check the installation") from error
        if done.returncode != 0:
            said = re.sub(r"//[^/@\s]+@", "//", f"{done.stdout}\n{done.stderr}")  # an index URL may hold a password
            raise InstallFailed(said.strip()[-4000:])


def _uv_env() -> dict[str, str]:
    """uv does not read pip's settings. Where the user has set up pip and not uv, they are handed on."""
    env = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE")):
        return env
    settings = pip_settings()
    if settings.get("extra-index-url"):
        env["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip's own way with several indexes, which the user chose
    for name, variable in PIP_TO_UV.items():
        if settings.get(name) and variable not in os.environ:
            env[variable] = ",".join(settings[name].split()) if name == "find-links" else settings[name]
    return env


@lru_cache(maxsize=1)
def find_uv() -> str | None:
    """uv from PATH, else the one installed beside this Python."""
    found = shutil.which("uv")
    if found is None and importlib.util.find_spec("uv") is not None:
        module = importlib.import_module("uv")
        try:
            return str(module.find_uv_bin())
        except FileNotFoundError:
            return None
    return found
