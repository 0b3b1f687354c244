"""Requests to peers without a server: what is tried again, and which word it comes to at the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from schemas.errors import Cancelled, InvalidInput, LimitExceeded, PeerBusy, PeerUnavailable
from schemas.peers import Ask, Sheet, Word, answer_subject, ask_subject
from stigmergy import Agent, answers
from workers.peers.request import Request
from workers.peers.sheets import packed, plain_object, unpacked
from workers.registry import Registry
from workers.workspaces import MemoryBlobs

ASK = Ask("r", "me", "a", "m", "t", 1, Sheet(), 1.0)


def request(words: Iterator[list[Word]], within_s: float = 5.0, check: Callable[[], None] = lambda: None) -> Request:
    """A request to which each saying is answered by the next of these words."""
    sent: list[Ask] = []

    def say(raw: bytes) -> None:
        sent.append(msgspec.json.decode(raw, type=Ask))
        for word in next(words, []):
            made.inbox.put(word)

    made = Request("east", ASK, say, check, time.monotonic() + within_s)
    return made


def test_busy_is_tried_again_until_somebody_answers() -> None:
    answer = Word("answer", "w2", answer=Sheet({"n": 1}))
    made = request(iter([[Word("busy", "w1", why="2 of 2 in hand")], [Word("accepted", "w2"), answer]]))
    assert made.last_word() == answer
    assert made.tries == 2


def test_who_was_busy_is_named_at_the_deadline() -> None:
    made = request(([Word("busy", "w1", why="2 of 2 in hand")] for _ in range(1000)), within_s=0.3)
    with pytest.raises(PeerBusy, match=r"all who answer 'east' were busy .*: w1 \(2 of 2 in hand\)"):
        made.last_word()
    assert 2 <= made.tries < 20  # the pauses grow


def test_who_took_it_and_did_not_answer_is_named() -> None:
    with pytest.raises(PeerBusy, match="w1 took the request for 'east' and has not answered in time"):
        request(iter([[Word("accepted", "w1")]]), within_s=0.2).last_word()


def test_nobody_is_said_soon_but_not_if_somebody_was_there_before() -> None:
    begin = time.monotonic()
    with pytest.raises(PeerUnavailable, match="nobody answers 'east'"):
        request([Word("nobody")] for _ in range(1000)).last_word()
    assert time.monotonic() - begin < 4
    words = [[Word("busy", "w1")], *[[Word("nobody")]] * 5, [Word("answer", "w1")]]
    assert request(iter(words)).last_word().kind == "answer"
    with pytest.raises(PeerUnavailable, match="the last that did: w1"):
        request(iter([[Word("busy", "w1")], *[[Word("nobody")]] * 500]), within_s=0.5).last_word()


def test_a_worker_does_not_ask_itself() -> None:
    with pytest.raises(PeerUnavailable, match="no other worker answers 'east'"):
        request([Word("own", "me")] for _ in range(1000)).last_word()


def test_late_words_to_earlier_tries_do_not_undo_an_acceptance() -> None:
    words = [[Word("accepted", "w1"), Word("busy", "w2"), Word("nobody"), Word("answer", "w1")]]
    made = request(iter(words))
    assert made.last_word().worker == "w1"
    assert made.tries == 1


def test_a_stop_of_the_asking_attempt_ends_the_waiting() -> None:
    def check() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        request(iter([]), check=check).last_word()


def test_large_objects_travel_by_the_blob_store() -> None:
    blobs = MemoryBlobs()
    small, large = {"a": 1}, {"a": "x" * 100_000}
    assert packed(small, blobs) == Sheet(small)
    sheet = packed(large, blobs)
    assert sheet.value == {}
    assert unpacked(sheet, blobs) == large


@pytest.mark.parametrize(
    ("value", "error"), [([1], InvalidInput), ({"a": object()}, InvalidInput), ({"a": "x" * 5_000_000}, LimitExceeded)]
)
def test_what_cannot_be_asked(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        plain_object(value, "the question")


def test_names_that_would_change_the_subject_are_refused() -> None:
    assert ask_subject("acme", "opinion") == "peers.acme.opinion._"
    assert answer_subject("acme", "w1", "r") == "answers.acme.w1.r"
    for broken in ("a.b", "*", ">", ""):
        with pytest.raises(InvalidInput):
            ask_subject("acme", broken)


def test_an_agent_declares_what_it_answers() -> None:
    class Judge(Agent):
        skills = ("judge",)
        answers_at_once = 3

        def run(self, context: Any) -> None:
            return None

        @answers("verdict")
        def verdict(self, asked: Any) -> dict[str, Any]:
            """Guilty or not.

            More of it.
            """
            return {}

    registry = Registry(skills=())
    registry._by_skill = {"judge": Judge()}
    assert registry.answers == {"verdict": (Judge, "verdict")}
    assert registry.answers_at_once == 3
    [card] = registry.topic_cards
    assert (card.topic, card.agent, card.description) == ("verdict", "judge", "Guilty or not.")
