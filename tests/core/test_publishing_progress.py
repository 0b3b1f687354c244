"""How far a file has been published: which lines are passed over, and when that is refused."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Conflict, InvalidInput, Unavailable
from stigmergy.cli.publishing import documents
from stigmergy.cli.publishing_progress import kept_in


async def found(text: str, path: Path, *, until: int | None = None) -> tuple[list[Any], list[str]]:
    """The values of ``text`` that are to be published, and ids for them; kept before line ``until``, or at the end."""
    values, ids = [], []
    with kept_in(path, sequence=7) as progress:
        async for number, value in documents(io.StringIO(text), progress):
            if number == until:
                progress.save(8)
                break
            values.append(value)
            ids.append(progress.identify())
        else:
            progress.finish(9)
    return values, ids


async def test_what_was_done_is_passed_over_and_ids_stay(tmp_path: Path) -> None:
    text = '{"n": 1}\n\n[{"n": 2}, {"n": 3}]\n{"n": 4}\n{"n": 5}'
    whole, ids = await found(text, tmp_path / "whole")
    assert whole == [{"n": n} for n in range(1, 6)]
    assert len(set(ids)) == 5
    assert (await found(text, tmp_path / "whole"))[0] == []
    begun, early = await found(text, tmp_path / "part", until=4)
    rest, late = await found(text, tmp_path / "part")
    assert begun + rest == whole
    assert not {*early, *late} & {*ids}, "another run has other ids"
    assert len({*early, *late}) == 5


async def test_what_was_not_kept_has_the_same_ids_again(tmp_path: Path) -> None:
    with kept_in(tmp_path / "p", sequence=1) as progress:
        first = [progress.identify() async for _ in documents(io.StringIO("[1, 2]\n3\n"), progress)]
    assert (await found("[1, 2]\n3\n", tmp_path / "p"))[1] == first


@pytest.mark.parametrize("changed", ["1\n2\nx\n4\n", "1\n2\n", "", "3\n2\n1\n4\n5\n"])
async def test_another_beginning_is_refused(tmp_path: Path, changed: str) -> None:
    await found("1\n2\n3\n", tmp_path / "p")
    with pytest.raises(InvalidInput, match="the first 3 lines are not those"):
        await found(changed, tmp_path / "p")


async def test_a_last_line_may_get_its_end_later(tmp_path: Path) -> None:
    await found("1\n2", tmp_path / "p")
    assert (await found("1\n2\n3\n", tmp_path / "p"))[0] == [3]


async def test_a_document_over_several_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="over several lines"):
        await found('{\n"n": 1}\n', tmp_path / "p")


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with kept_in(tmp_path / "p", 1), pytest.raises(Conflict, match="another process"), kept_in(tmp_path / "p", 1):
        pass


def test_where_it_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no folder"), kept_in(tmp_path / "none" / "p", 1):
        pass
    (tmp_path / "p").mkdir()
    with pytest.raises(InvalidInput, match="cannot read"), kept_in(tmp_path / "p", 1):
        pass
    (tmp_path / "gone").mkdir()
    with kept_in(tmp_path / "gone" / "q", 1) as progress:
        shutil.rmtree(tmp_path / "gone")
        with pytest.raises(Unavailable, match="cannot write"):
            progress.finish(1)
