"""Two strategies on the same missions: the permutation test, the measures, the verdict."""

from __future__ import annotations

import pytest

from orchestrator.coordination.paired import EXACT, Outcome, compare, permutation_p


def run(seconds: float, *, success: bool = True, usd: float = 0.0, attempts: int = 1) -> Outcome:
    return Outcome(success=success, duration_s=seconds, usd=usd, attempts=attempts, worked_s=seconds)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        ([1.0], 1.0),
        ([1.0] * 5, 2 / 2**5),
        ([1.0] * 6, 2 / 2**6),
        ([-2.0] * 6, 2 / 2**6),
        ([1.0] * 6 + [0.0] * 10, 2 / 2**6),
        ([1.0, -1.0], 1.0),
        ([3.0, 2.0, -1.0], 4 / 8),  # as far from 0 as 4: ±(3+2-1), ±(3+2+1)
        ([1.0, 1.0, 1.0, -1.0], 10 / 16),
    ],
)
def test_p_values_that_can_be_counted_by_hand(differences: list[float], p: float) -> None:
    assert permutation_p(differences) == pytest.approx(p)


def test_many_pairs_are_drawn_from_a_fixed_seed_and_come_near_the_exact_value() -> None:
    few = [1.0] * 11 + [-1.0] * 5
    exact = permutation_p(few)
    assert len(few) == EXACT
    assert exact == pytest.approx(2 * sum((4368, 1820, 560, 120, 16, 1)) / 2**16)  # binomial, 11 of 16 or more
    many = [1.0] * 12 + [-1.0] * 5
    assert permutation_p(many) == permutation_p(many)
    assert permutation_p(many) == pytest.approx(2 * sum((6188, 2380, 680, 136, 17, 1)) / 2**17, abs=0.02)
    assert permutation_p([1.0] * 60) == pytest.approx(1 / 20_001)


def test_who_succeeds_more_often_is_better_however_slow() -> None:
    found = compare("slow", "quick", [(run(9.0), run(1.0, success=False)) for _ in range(6)])
    assert (found.better, found.verdict) == ("slow", "slow succeeds more often: 100% against 0% (p = 0.031)")


def test_among_equals_in_success_the_sooner_one_is_better() -> None:
    found = compare("a", "b", [(run(2.0 + n / 10), run(1.0 + n / 10, usd=1.0)) for n in range(8)])
    assert (found.better, found.verdict) == ("b", "b is over sooner: 1.35 s against 2.35 s (p = 0.008)")
    by_name = {measure.name: measure for measure in found.measures}
    assert (by_name["usd"].a, by_name["usd"].b, by_name["usd"].shown) == (0.0, 1.0, True)
    assert not by_name["violations"].shown


def test_then_the_cheaper_one() -> None:
    pairs = [(run(1.0, usd=0.3), run(1.0, usd=0.1)) for _ in range(6)]
    assert compare("a", "b", pairs).verdict == "b is cheaper: $0.1000 against $0.3000 (p = 0.031)"


def test_times_are_compared_where_both_succeeded_only() -> None:
    pairs = [(run(5.0), run(1.0)) for _ in range(5)] + [(run(1.0, success=False), run(9.0)) for _ in range(5)]
    found = compare("a", "b", pairs)
    assert found.better == ""
    assert {measure.name: (measure.pairs, measure.p) for measure in found.measures}["duration_s"] == (5, None)
    assert found.verdict.startswith("no difference in success, and only 5 pairs succeeded on both sides")


def test_what_shows_nothing_is_said_to_show_nothing() -> None:
    few = compare("a", "b", [(run(1.0), run(9.0)) for _ in range(5)])
    assert (few.better, few.pairs) == ("", 5)
    assert few.verdict.startswith("not enough missions: 5 pairs")
    assert compare("a", "b", []).verdict.startswith("not enough missions: 0 pairs")
    mixed = compare("a", "b", [(run(1.0), run(1.1)), (run(1.1), run(1.0))] * 4)
    assert mixed.verdict == "no difference that is more than chance in 8 pairs"
