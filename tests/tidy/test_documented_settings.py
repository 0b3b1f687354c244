"""Operators learn of every setting from one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from stigmergy.settings import Settings

OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_table(name: str) -> None:
    rows = [line.split("|")[1] for line in OPERATIONS.splitlines() if line.startswith("| `STIGMERGY_")]
    assert any(f"`STIGMERGY_{name.upper()}`" in row for row in rows)
