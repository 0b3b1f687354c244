"""Safety constraints: what may never happen in a mission. Pure: a worker asks before it acts, a manager looks after.

A name is matched by :func:`fnmatch.fnmatchcase`. A command is matched as a whole (``git push*``), and by the name of
its program (``rm`` is also ``/bin/rm``). These rules are a fence, not a wall: what a program does by itself they do not
see; that is for the sandbox to hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from schemas.shape import Shape


class Safety(Shape):
    """The constraints of one mission. Without any, nothing is looked at.

    Attributes:
        forbidden_paths: patterns of files that no attempt may change.
        forbidden_commands: patterns of commands that no tool may run.
        forbidden_hosts: patterns of hosts that no tool may talk to.
        max_cost_per_minute: in dollars, over any 60 seconds, by what calls of language models cost.
        max_violations: how many attempts may be found violated.
    """

    forbidden_paths: tuple[str, ...] = ()
    forbidden_commands: tuple[str, ...] = ()
    forbidden_hosts: tuple[str, ...] = ()
    max_cost_per_minute: float | None = Field(default=None, ge=0)
    max_violations: int | None = Field(default=None, ge=0)

    def forbids_command(self, parameters: Mapping[str, Any]) -> str:
        """The rule that a tool's parameters break with a command; empty if none."""
        for command in _commands(parameters):
            program = PurePosixPath(command.split(" ", 1)[0]).name
            for rule in self.forbidden_commands:
                if fnmatchcase(command, rule) or program == rule or fnmatchcase(_named(command, program), rule):
                    return rule
        return ""

    def forbids_host(self, parameters: Mapping[str, Any]) -> str:
        """The rule that a tool's parameters break with a host; empty if none."""
        for host in _hosts(parameters):
            for rule in self.forbidden_hosts:
                if fnmatchcase(host, rule.lower()):
                    return rule
        return ""

    def forbids_path(self, path: str) -> str:
        """The rule that a change of a file breaks; empty if none."""
        return next((rule for rule in self.forbidden_paths if fnmatchcase(path, rule)), "")


def _named(command: str, program: str) -> str:
    """The command with its program's name in place of the path to it."""
    _, space, rest = command.partition(" ")
    return f"{program}{space}{rest}"


def _commands(parameters: Mapping[str, Any]) -> Iterator[str]:
    for name in ("argv", "command", "cmd"):
        value = parameters.get(name)
        if isinstance(value, str):
            yield " ".join(value.split())
        elif isinstance(value, list | tuple) and value:
            words = [str(word) for word in value]
            yield " ".join(words)
            if len(words) > 2 and words[1] in ("-c", "-lc"):  # a shell: what it is told to run is meant as well
                yield " ".join(words[2].split())


def _hosts(parameters: Mapping[str, Any]) -> Iterator[str]:
    for name in ("host", "url", "endpoint"):
        value = parameters.get(name)
        if isinstance(value, str) and value:
            try:
                host = urlsplit(value if "//" in value else f"//{value}").hostname
            except ValueError:
                host = value
            yield (host or value).lower()
