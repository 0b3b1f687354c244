"""The package index, read through its simple API (JSON as in PEP 691, HTML as in PEP 503): no code of anybody is run.

``pip download`` was not taken: to learn a source distribution's metadata it runs the distribution's own build.
"""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import netrc
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from schemas.errors import InvalidSource, Unavailable
from workers.sources.configured import IndexConfig, redacted

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
PAGE_CAP = 64 * 1024 * 1024
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """One file of a project on the index."""

    filename: str
    url: str
    sha256: str | None
    requires_python: str | None
    yanked: bool


def project_files(name: str, config: IndexConfig) -> tuple[IndexedFile, ...]:
    """Every file of a project, from the first index that has it: mixing indexes would let one shadow another.

    Raises:
        InvalidSource: no index knows the project.
        Unavailable: an index cannot be reached.
    """
    for index in (config.index_url, *config.extra_index_urls):
        page = _page(f"{index}/{name}/", config)
        if page is not None:
            return page
    raise InvalidSource(f"the package index has no project {name!r}", hint="check the spelling")


def _page(url: str, config: IndexConfig) -> tuple[IndexedFile, ...] | None:
    local = urlsplit(url)
    if local.scheme == "file":
        path = Path(unquote(local.path), "index.html")
        return _from_html(path.read_text("utf-8"), url) if path.is_file() else None
    try:
        with open_url(url, config, {"Accept": ACCEPT}) as response:
            body, kind, final = response.read(PAGE_CAP + 1), response.headers.get_content_type(), response.geturl()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (404, 410):
            return None
        raise _unavailable(url, f"it answered {error.code}") from error
    except (OSError, ValueError) as error:
        raise _unavailable(url, str(error)) from error
    if len(body) > PAGE_CAP:
        raise Unavailable(f"the page {redacted(url)} is too large to be an index", hint="check the index URL")
    text = body.decode("utf-8", "replace")
    return _from_json(text, final) if kind.endswith("json") else _from_html(text, final)


def _from_json(text: str, base: str) -> tuple[IndexedFile, ...]:
    try:
        files: list[dict[str, Any]] = json.loads(text)["files"]
        return tuple(
            IndexedFile(
                filename=str(f["filename"]),
                url=urljoin(base, f["url"]),
                sha256=(f.get("hashes") or {}).get("sha256"),
                requires_python=f.get("requires-python"),
                yanked=bool(f.get("yanked")),
            )
            for f in files
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(
            f"{redacted(base)} is not the page of an index: {error}", hint="check the index URL"
        ) from error


class _Anchors(html.parser.HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.files: list[IndexedFile] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag != "a" or not told.get("href"):
            return
        url, fragment = urldefrag(urljoin(self.base, told["href"] or ""))
        name, _, digest = fragment.partition("=")
        self.files.append(
            IndexedFile(
                filename=unquote(urlsplit(url).path.rpartition("/")[2]),
                url=url,
                sha256=digest if name == "sha256" else None,
                requires_python=told.get("data-requires-python"),
                yanked="data-yanked" in told,
            )
        )


def _from_html(text: str, base: str) -> tuple[IndexedFile, ...]:
    reader = _Anchors(base)
    reader.feed(text)
    return tuple(reader.files)


def download(file: IndexedFile, target: Path, config: IndexConfig, cap: int, tell: Callable[[int], None]) -> None:
    """Write the file to ``target`` and check its hash.

    Raises:
        InvalidSource: it is larger than ``cap`` bytes, or its hash is not the one the index gives.
        Unavailable: it cannot be fetched.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with open_url(file.url, config, {}) as response, target.open("wb") as out:
            while chunk := response.read(1 << 16):
                size += len(chunk)
                if size > cap:
                    raise InvalidSource(f"{file.filename} is larger than {cap} bytes", hint="choose a smaller project")
                digest.update(chunk)
                out.write(chunk)
                tell(size)
    except urllib.error.HTTPError as error:
        error.close()
        raise _unavailable(file.url, f"it answered {error.code}") from error
    except urllib.error.URLError as error:
        raise _unavailable(file.url, str(error.reason)) from error
    if file.sha256 is not None and digest.hexdigest() != file.sha256:
        raise InvalidSource(f"{file.filename} is not the file the index names: its hash differs", hint="try again")


def open_url(url: str, config: IndexConfig, headers: Mapping[str, str]) -> Any:
    """Open http, https or file, with the user's certificates, proxy and credentials."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "file"}:
        raise ValueError(f"an address of the kind {parts.scheme!r} is not opened")
    request = urllib.request.Request(redacted(url), headers={"User-Agent": "stigmergy", **headers})  # noqa: S310
    login = _login(url)
    if login:
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    context = ssl.create_default_context(cafile=config.certificates) if parts.scheme == "https" else None
    return urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context)  # noqa: S310


def _login(url: str) -> str:
    parts = urlsplit(url)
    if parts.username:
        return f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    try:
        known = netrc.netrc().authenticators(parts.hostname or "")
    except (OSError, netrc.NetrcParseError):
        return ""  # most people have no such file
    return f"{known[0]}:{known[2]}" if known and parts.scheme != "file" else ""


def _unavailable(url: str, why: str) -> Unavailable:
    hint = "check the network and the index pip is configured for (pip config list)"
    return Unavailable(f"the package index does not give {redacted(url)}: {why}", hint=hint)
