"""Reads the JUnit XML that pytest wrote. The guest could have written anything there: it is untrusted input."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.parsers import expat

from schemas.test_report import MESSAGE_CAP, CaseOutcome, TestCase

XML_CAP = 64 * 1024 * 1024
CASES_CAP = 200_000
RANK: dict[CaseOutcome, int] = {"passed": 0, "skipped": 1, "xfailed": 2, "failed": 3, "error": 4}


class UnreadableReport(ValueError):
    """The file is not there, too large, no regular file, not XML, or XML that defines entities."""


def read_cases(path: Path, *, root: str) -> tuple[TestCase, ...]:
    """The cases of a report; ``root``, the folder the suite ran in, is cut out of messages.

    Raises:
        UnreadableReport: see there.
    """
    tree = _parse(_read(path))
    cases: dict[str, TestCase] = {}
    for element in tree.iter("testcase"):
        case = _case(element, root)
        known = cases.get(case.id)
        if known is None or RANK[case.outcome] > RANK[known.outcome]:
            cases[case.id] = case  # a failing test whose teardown fails too is told twice; the worse word counts
        if len(cases) > CASES_CAP:
            raise UnreadableReport(f"the report holds more than {CASES_CAP} tests")
    return tuple(cases.values())


def _read(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise UnreadableReport(f"no report was written: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UnreadableReport("the report is no regular file")
        data = file.read(XML_CAP + 1)
    if len(data) > XML_CAP:
        raise UnreadableReport(f"the report is larger than {XML_CAP} bytes")
    return data


def _parse(data: bytes) -> ET.Element:
    """Parse without document type: no entity can then be defined, so none can expand or read a file."""
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes)
    parser.EndElementHandler = lambda tag: builder.end(tag)
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, AssertionError) as error:  # TreeBuilder asserts on a document without an element
        raise UnreadableReport(f"the report is not well-formed: {error}") from error


def _refuse_doctype(*_: object) -> None:
    raise UnreadableReport("the report declares a document type")


def _case(element: ET.Element, root: str) -> TestCase:
    outcome: CaseOutcome = "passed"
    message = ""
    for tag, kind in (("skipped", "skipped"), ("failure", "failed"), ("error", "error")):
        found = element.find(tag)
        if found is not None:
            outcome = kind  # type: ignore[assignment]
            message = _message(found, root)
            if tag == "skipped" and found.get("type") == "pytest.xfail":
                outcome = "xfailed"
    return TestCase(id=_node_id(element), outcome=outcome, duration_s=_seconds(element.get("time")), message=message)


def _message(found: ET.Element, root: str) -> str:
    text = "".join(found.itertext()).strip()
    head = (found.get("message") or "").strip()
    whole = text if head in text else f"{head}\n{text}".strip()
    whole = whole.replace(f"{root}/", "").replace(root, ".")
    if len(whole) <= MESSAGE_CAP:
        return whole
    half = MESSAGE_CAP // 2
    return f"{whole[:half]}\n[...]\n{whole[-half:]}"[: MESSAGE_CAP + 8]


def _node_id(element: ET.Element) -> str:
    """pytest's node id, rebuilt: the class path is what ``classname`` has beyond the file's dotted path."""
    file, classname, name = (element.get(key) or "" for key in ("file", "classname", "name"))
    if not file:
        return f"{classname}::{name}" if classname else name
    dotted = file.removesuffix(".py").replace("/", ".").replace("\\", ".")
    if not classname and name == dotted:  # the module itself, which could not be collected
        return file
    inner = classname.removeprefix(dotted).strip(".") if classname.startswith(dotted) else ""
    return "::".join([file, *(inner.split(".") if inner else []), name])


def _seconds(text: str | None) -> float:
    try:
        return max(float(text or 0.0), 0.0)
    except ValueError:
        return 0.0
