"""Repositories from folders, from git and from an index; nothing outward, nothing run, nothing endless."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from schemas.errors import InvalidSource, ToolMissing, Unavailable
from workers.sources import SourceLimits, fetch
from workers.sources.configured import index_config, redacted
from workers.sources.git import looks_like_git, split_ref


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "a repo"
    folder.mkdir()
    _git(folder, "init", "-q")
    (folder / "code.py").write_text("one = 1\n")
    (folder / ".gitignore").write_text("ignored.txt\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "first")
    _git(folder, "tag", "v1")
    (folder / "code.py").write_text("two = 2\n")
    _git(folder, "commit", "-qam", "second")
    return folder


def _files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() or p.is_symlink()}


def test_a_plain_folder_is_copied_without_debris_and_outward_links(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    for name in ("src/a.py", ".venv/x", "__pycache__/a.pyc", "node_modules/m.js", "b.pyc", ".hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (tmp_path / "secret").write_text("s")
    (folder / "out").symlink_to("../secret")
    (folder / "absolute").symlink_to(tmp_path)
    (folder / "inside").symlink_to("src/a.py")
    source = fetch(str(folder), tmp_path / "copy")
    assert _files(tmp_path / "copy") == {"src/a.py", ".hidden", "inside"}
    assert (source.kind, source.name, source.revision, source.requirement) == ("path", "plain", None, None)
    assert len(source.notes) == 2


def test_a_work_tree_is_copied_as_git_sees_it(repository: Path, tmp_path: Path) -> None:
    (repository / "ignored.txt").write_text("x")
    (repository / "new ü.py").write_text("x")
    (repository / "code.py").write_text("uncommitted = 3\n")
    source = fetch(str(repository), tmp_path / "copy")
    assert _files(tmp_path / "copy") == {"code.py", ".gitignore", "new ü.py"}
    assert (tmp_path / "copy/code.py").read_text() == "uncommitted = 3\n"
    assert source.revision == _git(repository, "rev-parse", "HEAD")


def test_a_link_to_a_folder_outside_is_not_followed(repository: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    (repository / "door").symlink_to(outside)
    source = fetch(str(repository), tmp_path / "copy")
    assert "door" not in _files(tmp_path / "copy")
    assert "door" in source.notes[0]


@pytest.mark.parametrize(
    ("ref", "text"), [("", "two = 2\n"), ("#v1", "one = 1\n"), ("#main", "two = 2\n"), ("@v1", "one = 1\n")]
)
def test_git_at_a_ref(repository: Path, tmp_path: Path, ref: str, text: str) -> None:
    bare = tmp_path / "bare.git"
    _git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    for index, address in enumerate((f"file://{bare}", str(bare), f"git+file://{bare}")):
        into = tmp_path / f"copy{index}"
        source = fetch(address + ref, into)
        assert (into / "code.py").read_text() == text
        assert not (into / ".git").exists()
        assert source.kind == "git"
        assert source.name == "bare"
        assert source.revision is not None
        assert len(source.revision) == 40


def test_git_at_a_commit(repository: Path, tmp_path: Path) -> None:
    first = _git(repository, "rev-parse", "v1")
    source = fetch(f"file://{repository}#{first}", tmp_path / "copy")
    assert source.revision == first


def test_a_link_out_of_a_git_repository_is_removed(repository: Path, tmp_path: Path) -> None:
    (repository / "evil").symlink_to("/etc/passwd")
    _git(repository, "add", ".")
    _git(repository, "commit", "-qm", "link")
    source = fetch(f"file://{repository}", tmp_path / "copy")
    assert not (tmp_path / "copy/evil").is_symlink()
    assert "evil" in source.notes[0]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("/no/such/folder", InvalidSource),
        ("file:///no/such/repository", InvalidSource),
        ("no/such.git", InvalidSource),
        ("https://host.invalid/x/y.git", Unavailable),
        ("https://host.invalid/x.git#--upload-pack=touch", InvalidSource),
        ("pypi:not a name", InvalidSource),
        ("", InvalidSource),
    ],
)
def test_what_is_not_there_is_told_with_a_hint(spec: str, kind: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(kind) as caught:
        fetch(spec, tmp_path / "copy")
    assert getattr(caught.value, "hint", "")
    assert not (tmp_path / "copy").exists() or not any((tmp_path / "copy").iterdir())


def test_an_unknown_ref_is_told(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidSource, match="no-such-ref"):
        fetch(f"file://{repository}#no-such-ref", tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []


def test_without_git_a_folder_can_still_be_copied(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing):
        fetch(f"file://{repository}", tmp_path / "a")
    source = fetch(str(repository), tmp_path / "b")
    assert (tmp_path / "b/code.py").exists()
    assert ".gitignore was not heeded" in source.notes[0]


def test_too_large_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    for index in range(5):
        (folder / f"{index}.txt").write_text("x" * 1000)
    with pytest.raises(InvalidSource, match="larger than"):
        fetch(str(folder), tmp_path / "copy", limits=SourceLimits(total_bytes=3000))
    with pytest.raises(InvalidSource, match="more than 3 files"):
        fetch(str(folder), tmp_path / "copy", limits=SourceLimits(files=3))
    assert list((tmp_path / "copy").iterdir()) == []


def test_a_folder_that_is_not_empty_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/mine").write_text("x")
    with pytest.raises(InvalidSource, match="not empty"):
        fetch(str(tmp_path), tmp_path / "copy")
    assert (tmp_path / "copy/mine").exists()


def test_addresses_are_told_apart() -> None:
    assert all(
        map(looks_like_git, ["https://h/x", "git@h:o/r.git", "ssh://h/r", "a/b.git", "file:///x", "git+https://h/x"])
    )
    assert not any(map(looks_like_git, ["a/b", "/a", ".", "~/x"]))
    assert split_ref("git@h:o/r.git") == ("git@h:o/r.git", None)
    assert split_ref("git@h:o/r.git@v2") == ("git@h:o/r.git", "v2")
    assert split_ref("https://u@h/o/r") == ("https://u@h/o/r", None)
    assert split_ref("https://u:p@h/o/r.git@v1.0") == ("https://u:p@h/o/r.git", "v1.0")
    assert split_ref("git+https://h/o/r#feature/x") == ("https://h/o/r", "feature/x")
    assert redacted("https://u:p@h/o") == "https://h/o"


def _sdist(name: str, version: str, **members: str | tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, content in {"code.py": f"version = '{version}'\n", **members}.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(f"{name}-{version}/{path}")
            data = content.encode() if isinstance(content, str) else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class _Index:
    """A package index over HTTP, in JSON or in HTML."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.hashes: dict[str, str] = {}
        self.yanked: set[str] = set()
        self.html = False
        self.asked: list[str | None] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.headers.get("Authorization"))
                status, kind, body = index.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"

    def answer(self, path: str) -> tuple[int, str, bytes]:
        name = path.rstrip("/").rpartition("/")[2]
        if name in self.files:
            return 200, "application/octet-stream", self.files[name]
        listed = [f for f in self.files if f.startswith(f"{name}-")]
        if not path.startswith("/simple/") or not listed:
            return 404, "text/plain", b"no"
        if self.html:
            anchors = [f'<a href="/f/{f}#sha256={self.digest(f)}">{f}</a>' for f in listed]
            return 200, "text/html", "".join(anchors).encode()
        files = [
            {"filename": f, "url": f"/f/{f}", "hashes": {"sha256": self.digest(f)}, "yanked": f in self.yanked}
            for f in listed
        ]
        return 200, "application/vnd.pypi.simple.v1+json", json.dumps({"files": files}).encode()

    def digest(self, name: str) -> str:
        return self.hashes.get(name) or hashlib.sha256(self.files[name]).hexdigest()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Index]:
    served = _Index()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.05,))
    thread.start()
    for name in [n for n in os.environ if n.startswith(("PIP_", "UV_")) or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    yield served
    served.server.shutdown()
    thread.join(5)
    served.server.server_close()


@pytest.mark.parametrize("html", [False, True])
def test_a_release_from_the_index(index: _Index, tmp_path: Path, html: bool) -> None:
    index.html = html
    for version in ("1.0", "1.2", "2.0rc1"):
        index.files[f"demo-{version}.tar.gz"] = _sdist("demo", version)
    index.files["demo-9.0-py3-none-any.whl"] = b"no sdist"
    newest = fetch("pypi:Demo", tmp_path / "newest")
    assert (newest.version, newest.requirement, newest.name) == ("1.2", "demo==1.2", "Demo")
    assert (tmp_path / "newest/code.py").read_text() == "version = '1.2'\n"
    assert fetch("pypi:demo==1.0", tmp_path / "old").version == "1.0"
    assert fetch("pypi:demo==2.0rc1", tmp_path / "pre").version == "2.0rc1"
    with pytest.raises(InvalidSource, match=r"7\.7") as caught:
        fetch("pypi:demo==7.7", tmp_path / "none")
    assert "1.2" in caught.value.hint


def test_a_yanked_release_is_taken_only_by_name(index: _Index, tmp_path: Path) -> None:
    index.files = {f"demo-{v}.tar.gz": _sdist("demo", v) for v in ("1.0", "1.1")}
    index.yanked = {"demo-1.1.tar.gz"}
    assert fetch("pypi:demo", tmp_path / "a").version == "1.0"
    assert fetch("pypi:demo==1.1", tmp_path / "b").version == "1.1"


def test_a_wrong_hash_an_unknown_name_and_wheels_only_are_refused(index: _Index, tmp_path: Path) -> None:
    index.files = {"demo-1.0.tar.gz": _sdist("demo", "1.0"), "only-1.0-py3-none-any.whl": b""}
    index.hashes = {"demo-1.0.tar.gz": "0" * 64}
    with pytest.raises(InvalidSource, match="hash differs"):
        fetch("pypi:demo", tmp_path / "a")
    with pytest.raises(InvalidSource, match="no project 'unknown'"):
        fetch("pypi:unknown", tmp_path / "b")
    with pytest.raises(InvalidSource, match="no source distribution"):
        fetch("pypi:only", tmp_path / "c")


def test_an_archive_cannot_write_elsewhere(index: _Index, tmp_path: Path) -> None:
    link = tarfile.TarInfo("demo-1.0/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    index.files["demo-1.0.tar.gz"] = _sdist("demo", "1.0", link=link)
    assert "link" in fetch("pypi:demo", tmp_path / "a").notes[0]
    assert not (tmp_path / "a/link").is_symlink()
    index.files["demo-1.1.tar.gz"] = _sdist("demo", "1.1", evil=tarfile.TarInfo("demo-1.1/../../evil"))
    with pytest.raises(InvalidSource, match="cannot be unpacked"):
        fetch("pypi:demo", tmp_path / "b")
    index.files["demo-1.2.tar.gz"] = b"no archive"
    with pytest.raises(InvalidSource, match="cannot be unpacked"):
        fetch("pypi:demo", tmp_path / "c")


def test_an_archive_that_grows_too_large_is_refused(index: _Index, tmp_path: Path) -> None:
    index.files["demo-1.0.tar.gz"] = _sdist("demo", "1.0", big="x" * 1_000_000)
    with pytest.raises(InvalidSource, match="larger than"):
        fetch("pypi:demo", tmp_path / "a", limits=SourceLimits(total_bytes=500_000))


def test_the_password_of_an_index_is_sent_and_never_shown(
    index: _Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.files["demo-1.0.tar.gz"] = _sdist("demo", "1.0")
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//user:pa%20ss@"))
    heard: list[str] = []
    fetch("pypi:demo", tmp_path / "a", heard.append)
    assert index.asked[0] == "Basic dXNlcjpwYSBzcw=="
    assert not any("pa%20ss" in line for line in heard)


def test_an_index_that_does_not_answer_is_unavailable(
    index: _Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        fetch("pypi:demo", tmp_path / "a")


def test_an_index_in_a_folder_works_too(index: _Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "simple index" / "demo"
    place.mkdir(parents=True)
    (place / "demo-1.0.tar.gz").write_bytes(_sdist("demo", "1.0"))
    (place / "index.html").write_text('<a href="demo-1.0.tar.gz">demo</a>')
    monkeypatch.setenv("PIP_INDEX_URL", place.parent.as_uri())
    source = fetch("pypi:demo", tmp_path / "a")
    assert source.version == "1.0"
    assert "no hash" in source.notes[0]


def test_without_configuration_pip_names_the_index(index: _Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL")
    assert index_config().index_url.startswith("https://")


@pytest.mark.network
def test_a_real_release(tmp_path: Path) -> None:
    source = fetch("pypi:inflection==0.5.1", tmp_path / "a")
    assert (tmp_path / "a/setup.py").is_file()
    assert source.requirement == "inflection==0.5.1"
