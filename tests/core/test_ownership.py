"""Every noun has one kind of writer, and the table knows them all."""

from __future__ import annotations

import pytest

from schemas.errors import UnknownType
from schemas.events import payload_types
from schemas.ownership import OWNERS, UNFRAMED, Role, nouns_of, owner_of

NOUNS = sorted({name.partition(".")[0] for name in payload_types()})


def test_every_noun_has_an_owner_and_every_owned_noun_has_types() -> None:
    assert sorted(OWNERS) == NOUNS
    assert sorted(noun for role in Role for noun in nouns_of(role)) == NOUNS
    assert set(NOUNS) >= UNFRAMED


def test_a_noun_that_nobody_owns_is_named() -> None:
    with pytest.raises(UnknownType, match="'weather'"):
        owner_of("weather")
