"""Identifiers: UUIDv7, derived ones, and tokens."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidIdentifier
from schemas.ids import derive, instant_of, token, uuid7

CAUSE = "019a0000-0000-7000-8000-000000000001"


def test_a_fresh_id_is_a_uuid_of_version_7_that_carries_the_time() -> None:
    before = datetime.now(UTC)
    made = uuid7()
    parsed = uuid.UUID(made)
    assert str(parsed) == made
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before - timedelta(milliseconds=1) <= instant_of(made) <= datetime.now(UTC)


def test_fresh_ids_differ() -> None:
    assert len({uuid7() for _ in range(2000)}) == 2000


@given(st.integers(0, 2**48 - 1), st.lists(st.text(), max_size=4))
def test_a_derived_id_is_valid_and_keeps_the_time_of_its_cause(milliseconds: int, labels: list[str]) -> None:
    head = f"{milliseconds:012x}"
    cause = f"{head[:8]}-{head[8:]}-7abc-8def-0123456789ab"
    made = derive(cause, *labels)
    assert made[:13] == cause[:13]
    assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (7, uuid.RFC_4122)
    assert made == derive(cause, *labels)


def test_other_causes_and_labels_give_other_ids() -> None:
    made = [
        derive(CAUSE),
        derive(CAUSE, "a"),
        derive(CAUSE, "b"),
        derive(CAUSE, "a", "b"),
        derive(CAUSE, "ab"),
        derive(CAUSE, "b", "a"),
        derive(CAUSE.replace("1", "2"), "a"),
    ]
    assert len(set(made)) == len(made)


def test_derivation_never_changes() -> None:
    # A release that derived otherwise would write every fact of a running mission a second time.
    assert derive(CAUSE, "task.ready", "fix", "1") == "019a0000-0000-7a94-b650-83f3c9d6222c"


@pytest.mark.parametrize("value", ["a", "A9", "fix-imports:2", "a@b", "x_~y", "9" * 128])
def test_tokens(value: str) -> None:
    assert token(value) == value


@pytest.mark.parametrize("value", ["", ".", "a.b", "a b", "*", ">", "_", "-a", "ä", "a\n", "9" * 129, "a/b"])
def test_what_is_no_token(value: str) -> None:
    with pytest.raises(InvalidIdentifier, match=r"mission .* is not a valid identifier") as caught:
        token(value, "mission")
    assert caught.value.hint
    assert len(str(caught.value)) < 120
