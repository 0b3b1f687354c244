"""Counting votes: known elections, and what must hold of every rule whatever the votes are."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.coordination.voting import count, turnout
from orchestrator.coordination.voting.ranked import instant_runoff, schulze
from schemas.ballots import Elector, Quorum, Terms, Vote, VotingRule, paper

OPTIONS = ("a", "b", "c")
RULES: tuple[VotingRule, ...] = ("simple", "two_thirds", "weighted", "unanimous", "plurality", "ranked", "schulze")
MONOTONE = tuple(rule for rule in RULES if rule != "ranked")  # an instant run-off is known not to be
NAMES = ("ann", "bob", "cy", "dee", "eve")
rankings = st.lists(st.sampled_from(OPTIONS), unique=True).map(tuple)
votes = st.dictionaries(st.sampled_from(NAMES), rankings)
weights = st.lists(st.sampled_from((0.1, 0.5, 1.0, 2.0, 3.3)), min_size=5, max_size=5)
rules = st.sampled_from(RULES)
quick = settings(deadline=None, derandomize=True, max_examples=300)


def terms(rule: VotingRule, weight: list[float] | None = None, **given: object) -> Terms:
    electors = tuple(Elector(name=name, weight=w) for name, w in zip(NAMES, weight or [1.0] * 5, strict=True))
    return Terms.model_validate(
        {"question": "?", "options": OPTIONS, "electorate": electors, "rule": rule, "quorum": Quorum(share=0)} | given
    )


def cast(said: dict[str, tuple[str, ...]]) -> dict[str, Vote]:
    return {name: Vote(voter=name, ranking=ranking) for name, ranking in said.items()}


def many(*blocks: tuple[int, str]) -> list[tuple[tuple[str, ...], Fraction]]:
    return [(tuple(ranking), Fraction(number)) for number, ranking in blocks]


def test_an_instant_runoff_moves_votes_to_the_next_choice() -> None:
    """Tennessee chooses its capital: the example of https://en.wikipedia.org/wiki/Instant-runoff_voting."""
    ballots = many((42, "MNCK"), (26, "NCKM"), (15, "CKNM"), (17, "KCNM"))
    winners, rounds = instant_runoff("MNCK", ballots)
    assert winners == ("K",)
    assert [{name: int(weight) for name, weight in tally.items()} for tally in rounds] == [
        {"M": 42, "N": 26, "C": 15, "K": 17},
        {"M": 42, "N": 26, "K": 32},
        {"M": 42, "K": 58},
    ]


def test_schulze_elects_as_in_his_paper() -> None:
    """Example 1 of the paper (45 voters, 5 alternatives): E wins."""
    ballots = many(
        (5, "ACBED"), (5, "ADECB"), (8, "BEDAC"), (3, "CABED"), (7, "CAEBD"), (2, "CBADE"), (7, "DCEBA"), (8, "EBADC")
    )  # fmt: skip
    assert schulze("ABCDE", ballots) == ("E",)


def test_schulze_elects_the_condorcet_winner_where_the_runoff_does_not() -> None:
    ballots = many((42, "MNCK"), (26, "NCKM"), (15, "CKNM"), (17, "KCNM"))
    assert schulze("MNCK", ballots) == ("N",)


@pytest.mark.parametrize(
    ("rule", "said", "choice"),
    [
        ("simple", {"ann": "a", "bob": "a", "cy": "b"}, "a"),
        ("simple", {"ann": "a", "bob": "b"}, None),
        ("simple", {"ann": "a", "bob": "b", "cy": "c"}, None),
        ("plurality", {"ann": "a", "bob": "a", "cy": "b", "dee": "c"}, "a"),
        ("plurality", {"ann": "a", "bob": "b"}, None),
        ("two_thirds", {"ann": "a", "bob": "a", "cy": "b"}, "a"),
        ("two_thirds", {"ann": "a", "bob": "a", "cy": "a", "dee": "b", "eve": "b"}, None),
        ("weighted", {"ann": "a", "bob": "a"}, None),
        ("weighted", {"ann": "a", "bob": "a", "cy": "a"}, "a"),
        ("unanimous", {"ann": "a", "bob": "a"}, "a"),
        ("unanimous", {"ann": "a", "bob": "b"}, None),
        ("ranked", {"ann": "ab", "bob": "ab", "cy": "ba", "dee": "ba", "eve": "cb"}, "b"),
        ("schulze", {"ann": "ab", "bob": "ab", "cy": "cb", "dee": "cb", "eve": "b"}, "b"),
    ],
)
def test_each_rule(rule: VotingRule, said: dict[str, str], choice: str | None) -> None:
    result = count(terms(rule), cast({name: tuple(ranking) for name, ranking in said.items()}))
    assert (result.final, result.choice) == (True, choice)


def test_an_abstention_counts_for_the_quorum_and_not_for_the_majority() -> None:
    two = terms("simple", quorum=Quorum(members=2))
    assert count(two, cast({"ann": ("a",)})).choice is None
    result = count(two, cast({"ann": ("a",), "bob": ()}))
    assert (result.choice, result.tally) == ("a", {"a": 1.0, "b": 0.0, "c": 0.0})
    assert turnout(two, ["ann", "bob"]).voted == 2


def test_weights_are_added_exactly() -> None:
    tenths = terms("simple", [0.1, 0.1, 0.1, 0.3, 1.0])
    result = count(tenths, cast({"ann": ("a",), "bob": ("a",), "cy": ("a",), "dee": ("b",)}))
    assert (result.choice, result.tally["a"]) == (None, 0.3)  # a tie, and no rounding


def test_what_cannot_change_any_more_is_not_waited_for() -> None:
    three = cast({"ann": ("a",), "bob": ("a",), "cy": ("a",)})
    assert count(terms("simple"), three, ["dee", "eve"]).final
    assert not count(terms("two_thirds"), three, ["dee", "eve"]).final
    divided = count(terms("unanimous"), cast({"ann": ("a",), "bob": ("b",)}), ["cy"])
    assert (divided.final, divided.choice) == (True, None)
    hopeless = count(terms("simple", quorum=Quorum(members=3)), cast({"ann": ("a",)}), ["bob"])
    assert (hopeless.final, hopeless.choice) == (True, None)
    assert "no quorum: 1 of at least 3" in hopeless.why


@quick
@given(rule=rules, said=votes, weight=weights, seed=st.integers(0, 99))
def test_the_order_of_the_votes_does_not_matter(
    rule: VotingRule, said: dict[str, tuple[str, ...]], weight: list[float], seed: int
) -> None:
    shuffled = list(said.items())
    Random(seed).shuffle(shuffled)
    assert count(terms(rule, weight), cast(said)) == count(terms(rule, weight), cast(dict(shuffled)))


@quick
@given(rule=rules, said=votes, weight=weights, outstanding=st.sets(st.sampled_from(NAMES)), data=st.data())
def test_a_final_count_stays_whatever_is_said_afterwards(
    rule: VotingRule,
    said: dict[str, tuple[str, ...]],
    weight: list[float],
    outstanding: set[str],
    data: st.DataObject,
) -> None:
    given_terms = terms(rule, weight, quorum=Quorum(share=data.draw(st.sampled_from((0, 0.5, 1)))))
    early = count(given_terms, cast(said), outstanding)
    later = data.draw(st.dictionaries(st.sampled_from(sorted(outstanding - said.keys()) or ["nobody"]), rankings))
    last = count(given_terms, cast({**said, **later}))
    assert last.final
    if early.final:
        assert last.choice == early.choice


@quick
@given(rule=rules, said=votes, weight=weights, option=st.sampled_from(OPTIONS))
def test_unanimity_wins_by_every_rule_if_all_vote(
    rule: VotingRule, said: dict[str, tuple[str, ...]], weight: list[float], option: str
) -> None:
    assert count(terms(rule, weight), cast(dict.fromkeys(NAMES, (option,)))).choice == option


@quick
@given(rule=st.sampled_from(MONOTONE), said=votes, weight=weights, who=st.sampled_from(NAMES))
def test_a_winner_does_not_lose_by_more_support(
    rule: VotingRule, said: dict[str, tuple[str, ...]], weight: list[float], who: str
) -> None:
    winner = count(terms(rule, weight), cast(said)).choice
    if winner is None or who not in said:
        return
    raised = (winner, *(option for option in said[who] if option != winner))
    assert count(terms(rule, weight), cast({**said, who: raised})).choice == winner


@quick
@given(rule=rules, said=votes, weight=weights)
def test_no_vote_counts_twice_and_nobody_elses_counts(
    rule: VotingRule, said: dict[str, tuple[str, ...]], weight: list[float]
) -> None:
    mine = terms(rule, weight)
    result = count(mine, cast(said))
    named = sum(Fraction(str(w)) for name, w in zip(NAMES, weight, strict=True) if said.get(name))
    assert sum(Fraction(str(value)) for value in result.tally.values()) == pytest.approx(named)
    assert count(mine, {**cast(said), "stranger": Vote(voter="stranger", ranking=("c",), weight=1e6)}) == result


@quick
@given(said=votes)
def test_schulze_elects_who_beats_everybody_else(said: dict[str, tuple[str, ...]]) -> None:
    def beats(one: str, other: str) -> bool:
        ahead = 0
        for ranking in said.values():
            places = [ranking.index(name) if name in ranking else len(ranking) for name in (one, other)]
            ahead += (places[0] < places[1]) - (places[0] > places[1])
        return ahead > 0

    for option in OPTIONS:
        if all(beats(option, other) for other in OPTIONS if other != option):
            assert count(terms("schulze"), cast(said)).choice == option


@pytest.mark.parametrize(
    ("said", "ranking"),
    [
        ({"choice": "b"}, ("b",)),
        ({"choice": None}, ()),
        ({"ranking": ["c", "a"]}, ("c", "a")),
        ({"scores": {"c": 1, "a": 3, "b": 3}}, ("a", "b", "c")),
    ],
)
def test_a_vote_can_be_said_in_three_ways(said: dict[str, object], ranking: tuple[str, ...]) -> None:
    assert paper({**said, "reason": "so"}, terms("simple")) == (ranking, "so")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "holds 'choice'"),
        ({"choice": "z"}, "none of the options"),
        ({"choice": 3}, "no text"),
        ({"ranking": ["a", "a"]}, "twice"),
        ({"ranking": "ab"}, "no list"),
        ({"scores": {"a": "high"}}, "numbers"),
        ({"scores": {"z": 1}}, "none of the options"),
    ],
)
def test_what_is_no_vote_is_said_to_be_none(said: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        paper(said, terms("simple"))


def test_terms_hold_together() -> None:
    with pytest.raises(ValidationError, match="none of the options"):
        terms("simple", undecided="status_quo", status_quo="z")
    with pytest.raises(ValidationError, match="once"):
        terms("simple", options=("a", "a"))
