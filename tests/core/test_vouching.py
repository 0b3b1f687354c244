"""When the witness of a pool has to be told again how long it may speak for a worker."""

from __future__ import annotations

from workers.vouching import ROUNDED_S, still_right


def test_many_short_attempts_are_told_once() -> None:
    until = 100.0 + ROUNDED_S
    assert all(still_right(until, 100.0 + 0.003 * n) for n in range(300))


def test_a_longer_attempt_is_told() -> None:
    assert not still_right(100.0 + ROUNDED_S, 130.0)


def test_after_a_long_attempt_a_short_one_is_told() -> None:
    """Otherwise one that hangs after its second would be spoken for as long as the one before might have taken."""
    assert not still_right(3600.0 + ROUNDED_S, 2.0)
