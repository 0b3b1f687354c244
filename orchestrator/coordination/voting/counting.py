"""What the votes of a ballot come to, and whether that can still change.

A count is *final* as soon as nothing that the outstanding members may say can change it, the votes that were cast being
taken as they stand. Then the ballot need not wait for its deadline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction

from msgspec import Struct

from orchestrator.coordination.voting.ranked import Tally, first_preferences, instant_runoff, schulze
from schemas.ballots import RANKED_RULES, Terms, Turnout, Vote, VotingRule


class Count(Struct, frozen=True):
    """What the votes come to.

    Attributes:
        final: whether nothing can change it any more.
        choice: the option that has won; None if none has.
        why: in words, how it won or what is lacking.
        tally: option to the weight of the votes for it (of the first preferences, where votes are rankings).
        rounds: the tallies of an instant run-off.
    """

    final: bool
    choice: str | None
    why: str
    tally: dict[str, float]
    rounds: tuple[dict[str, float], ...] = ()


def count(terms: Terms, votes: Mapping[str, Vote], outstanding: Collection[str] = ()) -> Count:
    """Count the votes; the order in which they were cast does not matter.

    Args:
        votes: by voter; only members count, each with the weight that the terms give it.
        outstanding: members who may still vote. Without any, the count is final.
    """
    weights = _weights(terms)
    cast = {name: vote for name, vote in votes.items() if name in weights}
    ballots = [(vote.ranking, weights[name]) for name, vote in cast.items() if vote.ranking]
    rest = sum((weights[name] for name in outstanding if name in weights and name not in cast), Fraction(0))
    waiting = sum(1 for name in set(outstanding) if name in weights and name not in cast)
    tally = first_preferences(terms.options, ballots)
    shown = _shown(tally)
    voted, all_of_it = sum((weights[name] for name in cast), Fraction(0)), sum(weights.values(), Fraction(0))
    if (missing := _no_quorum(terms, len(cast), voted, all_of_it)) is not None:
        reachable = _no_quorum(terms, len(cast) + waiting, voted + rest, all_of_it) is None
        return Count(not (waiting and reachable), None, missing, shown)
    ahead = _Race(terms.rule, tally, rest, all_of_it)
    if (sure := ahead.sure()) is not None:
        return Count(True, sure, ahead.words(sure), shown, _rounds(terms, ballots))
    if waiting and not ahead.hopeless():
        return Count(False, None, "votes are outstanding", shown)
    return _last_word(terms, ballots, ahead, shown)


def turnout(terms: Terms, votes: Iterable[str]) -> Turnout:
    """Who took part."""
    weights = _weights(terms)
    took_part = [name for name in votes if name in weights]
    weight, of = sum((weights[name] for name in took_part), Fraction(0)), sum(weights.values(), Fraction(0))
    return Turnout(voted=len(took_part), members=len(weights), weight=float(weight), of=float(of))


class _Race:
    """Who is ahead by first preferences, and what the outstanding weight (``rest``) could still do about it."""

    def __init__(self, rule: VotingRule, tally: Tally, rest: Fraction, electorate: Fraction) -> None:
        self._rule, self._tally, self._rest, self._electorate = rule, tally, rest, electorate
        self.cast = sum(tally.values(), Fraction(0))

    def sure(self) -> str | None:
        """The option that wins whatever else is said."""
        leader = max(self._tally, key=lambda option: self._tally[option])  # the first listed, of equals: not sure then
        mine, all_of_it = self._tally[leader], self.cast + self._rest
        match self._rule:
            case "weighted":
                wins = 2 * mine > self._electorate
            case "two_thirds":
                wins = mine > 0 and 3 * mine >= 2 * all_of_it
            case "unanimous":
                wins = mine > 0 and mine == all_of_it
            case "plurality":
                others = [value for option, value in self._tally.items() if option != leader]
                wins = mine > self._rest + max(others, default=Fraction(0))
            case "simple" | "ranked" | "schulze":  # more than half of the first preferences wins under either method
                wins = 2 * mine > all_of_it
        return leader if wins else None

    def hopeless(self) -> bool:
        """Whether no option can win any more, even if all the outstanding weight goes to it."""
        most = max(self._tally.values()) + self._rest
        match self._rule:
            case "weighted":
                return 2 * most <= self._electorate
            case "two_thirds":
                return 3 * most < 2 * (self.cast + self._rest)
            case "unanimous":
                return most < self.cast + self._rest
            case "simple":
                return 2 * most <= self.cast + self._rest
            case "plurality" | "ranked" | "schulze":
                return False

    def words(self, choice: str) -> str:
        """How the choice won."""
        of = self._electorate if self._rule == "weighted" else self.cast
        return f"{choice!r} has {_number(self._tally[choice])} of {_number(of)} ({self._rule})"


def _last_word(
    terms: Terms, ballots: list[tuple[tuple[str, ...], Fraction]], ahead: _Race, shown: dict[str, float]
) -> Count:
    """The count where nobody is outstanding who could change it, and no option has won outright."""
    if ahead.cast == 0:
        return Count(True, None, "nobody voted for any option", shown)
    if terms.rule not in (*RANKED_RULES, "plurality"):
        return Count(True, None, f"no option has the majority that {terms.rule!r} asks for", shown)
    tally = first_preferences(terms.options, ballots)
    winners = tuple(option for option in terms.options if tally[option] == max(tally.values()))
    if terms.rule == "ranked":
        winners, _ = instant_runoff(terms.options, ballots)
    elif terms.rule == "schulze":
        winners = schulze(terms.options, ballots)
    rounds = _rounds(terms, ballots)
    if len(winners) == 1:
        return Count(True, winners[0], f"{winners[0]!r} wins ({terms.rule})", shown, rounds)
    return Count(True, None, f"a tie between {', '.join(map(repr, winners))}", shown, rounds)


def _rounds(terms: Terms, ballots: list[tuple[tuple[str, ...], Fraction]]) -> tuple[dict[str, float], ...]:
    if terms.rule != "ranked":
        return ()
    return tuple(_shown(tally) for tally in instant_runoff(terms.options, ballots)[1])


def _no_quorum(terms: Terms, voted: int, weight: Fraction, of: Fraction) -> str | None:
    """What is lacking of the quorum."""
    if voted < terms.quorum.members:
        return f"no quorum: {voted} of at least {terms.quorum.members} members voted"
    if weight < _exact(terms.quorum.share) * of:
        return f"no quorum: {_number(weight)} of {_number(of)} voted, and {terms.quorum.share:.0%} must"
    return None


def _weights(terms: Terms) -> dict[str, Fraction]:
    return {elector.name: _exact(elector.weight) for elector in terms.electorate}


def _exact(number: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(str(number))


def _shown(tally: Tally) -> dict[str, float]:
    return {option: float(weight) for option, weight in tally.items()}


def _number(weight: Fraction) -> str:
    return f"{float(weight):g}"
