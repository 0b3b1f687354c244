"""One Python file, decoded and parsed once, in the form that every detector reads."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from schemas.errors import InvalidSource
from schemas.findings import Severity
from workers.tools.python_code.suppressions import Suppressions

Position = tuple[int, int]


class DoesNotParse(InvalidSource):
    """These bytes are no Python of this interpreter's grammar. Carries the line, from 1."""

    def __init__(self, message: str, *, line: int = 1, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.line = line


@dataclass(frozen=True, slots=True)
class Site:
    """A place that a detector points at; ``position`` is (line from 1, column from 0, in characters)."""

    rule: str
    message: str
    severity: Severity
    position: Position
    end_line: int | None = None
    fixable: bool = False


@dataclass(frozen=True)
class Parsed:
    """A file that parses. ``floor`` is the oldest Python that its project supports, such as (3, 10)."""

    path: str
    text: str
    tree: ast.Module
    floor: tuple[int, int]

    @cached_property
    def lines(self) -> list[str]:
        """The lines as the grammar counts them: a form feed ends none."""
        return self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    @cached_property
    def _by_type(self) -> dict[type[ast.AST], list[ast.AST]]:
        # A dozen detectors look at each file; walking it once for all is what makes that cheap.
        found: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in ast.walk(self.tree):
            found[type(node)].append(node)
        return found

    @cached_property
    def suppressions(self) -> Suppressions:
        return Suppressions.read(self.lines)

    def all[Node: ast.AST](self, *kinds: type[Node]) -> Iterator[Node]:
        """All nodes of exactly these types."""
        for kind in kinds:
            yield from self._by_type.get(kind, ())  # type: ignore[misc]

    def position(self, node: ast.expr | ast.stmt | ast.excepthandler | ast.arg) -> Position:
        """Where a node starts. The tree counts columns in bytes of UTF-8; people and libcst count characters."""
        line = self.lines[node.lineno - 1]
        if line.isascii():
            return node.lineno, node.col_offset
        return node.lineno, len(line.encode()[: node.col_offset].decode(errors="replace"))

    def site(
        self,
        node: ast.expr | ast.stmt | ast.excepthandler | ast.arg,
        rule: str,
        message: str,
        severity: Severity,
        *,
        fixable: bool = False,
    ) -> Site:
        return Site(rule, message, severity, self.position(node), node.end_lineno, fixable)


def parse(path: str, data: bytes, floor: tuple[int, int]) -> Parsed:
    """Decode and parse a file.

    Raises:
        DoesNotParse: an unknown encoding, bytes that are not of it, a syntax error, or a nesting too deep.
    """
    text = _decode(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in somebody's string is no news about us
            tree = ast.parse(text)
    except SyntaxError as error:
        raise DoesNotParse(error.msg or "syntax error", line=max(error.lineno or 1, 1)) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise DoesNotParse(str(error) or type(error).__name__) from error
    return Parsed(path, text, tree, floor)


def _decode(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise DoesNotParse(f"cannot be decoded: {error}") from error
