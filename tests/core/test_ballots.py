"""Decisions by vote, case by case: who may vote, until when, and what comes of it."""

from __future__ import annotations

import pytest

from schemas.ballots import Elector, Terms
from schemas.commands import CancelMission, CastVote, ForkMission, OpenBallot, PauseMission, RetryMission, SettleBallot
from schemas.errors import Refused
from schemas.events.ballot import BallotCast, BallotDecided, BallotLapsed, BallotOpened, BallotRefused
from schemas.events.task import TaskReady
from schemas.forks import ForkChange
from tests.core.fork_play import ForkPlay, recording_of
from tests.core.settled_play import Drive

THREE = """
tasks:
  v:
    vote:
      question: Ship it?
      options: [ship, wait]
      voters: [{skill: review, count: 3}]
      rule: simple
      deadline: 60s
  use: {skill: code, inputs: {how: "${v.output.choice}"}}
"""
PEOPLE = """
tasks:
  v:
    vote:
      question: Ship it?
      options: [ship, wait]
      voters: [{person: ann}, {person: bob, weight: 2}, {agent: oracle}]
      undecided: UNDECIDED
      status_quo: wait
      deadline: 60s
  work: {skill: code}
  use: {skill: code, inputs: {how: "${v.output.choice}"}}
"""
number = iter(range(1, 10_000))


def cast(drive: Drive, voter: str, choice: str | None, ballot: str = "v", id_: str = "", reason: str = "so") -> None:
    vote = {"choice": choice, "reason": reason}
    drive.ask(CastVote(id=id_ or f"k{next(number)}", mission="m", ballot=ballot, voter=voter, vote=vote))


def test_three_tasks_vote_and_the_dissent_is_kept() -> None:
    drive = Drive(THREE)
    opened = drive.said(BallotOpened)[0]
    assert (opened.ballot, opened.round, opened.task) == ("v", 1, True)
    assert [event.inputs["options"] for event in drive.said(TaskReady)] == [["ship", "wait"]] * 3
    drive.done("v.1", {"choice": "wait", "reason": "no tests"})
    drive.done("v.2", {"choice": "ship", "reason": "they pass"})
    assert drive.status("v") == "voting"
    drive.done("v.3", {"choice": "ship"})
    decided = drive.said(BallotDecided)[0]
    assert (decided.choice, decided.how, decided.tally) == ("ship", "votes", {"ship": 2.0, "wait": 1.0})
    assert [(one.voter, one.choice, one.reason) for one in decided.dissent] == [("v.1", "wait", "no tests")]
    assert drive.status("v") == "succeeded"
    assert [vote["voter"] for vote in drive.output("v")["votes"]] == ["v.1", "v.2", "v.3"]
    assert drive.said(TaskReady)[-1].inputs == {"how": "ship"}


def test_what_is_decided_stops_the_others() -> None:
    drive = Drive(THREE)
    drive.done("v.1", {"choice": "ship"})
    drive.done("v.3", {"choice": "ship"})
    assert drive.cancelled() == {"v.2": "no longer needed: v is settled"}
    assert drive.said(BallotDecided)[0].absent == ("v.2",)
    drive.done("use")
    assert drive.state.status == "completed"


def test_a_voter_that_fails_is_absent_and_fails_nobody_else() -> None:
    drive = Drive(THREE)
    drive.fails("v.1")
    drive.done("v.2", {"choice": "ship"})
    drive.done("v.3", {"choice": "ship"})
    assert drive.said(BallotDecided)[0].absent == ("v.1",)
    drive.done("use")
    assert drive.state.status == "completed"


def test_a_violated_vote_does_not_count() -> None:
    drive = Drive(THREE)
    drive.violated("v.1", {"choice": "wait"})
    assert drive.said(BallotCast) == []
    drive.done("v.2", {"choice": "ship"})
    drive.done("v.3", {"choice": "ship"})
    assert drive.said(BallotDecided)[0].tally == {"ship": 2.0, "wait": 0.0}


def test_what_is_no_vote_is_refused_on_record() -> None:
    drive = Drive(THREE)
    drive.done("v.1", {"choice": "sleep", "reason": "tired"})
    refused = drive.said(BallotRefused)[0]
    assert (refused.voter, refused.reason) == ("v.1", "tired")
    assert "none of the options" in refused.why


def test_without_quorum_by_the_deadline_it_lapses_and_fails() -> None:
    drive = Drive(THREE)
    drive.done("v.1", {"choice": "ship"})
    drive.wait(61)
    lapsed = drive.said(BallotLapsed)[0]
    assert (lapsed.then, lapsed.turnout.voted) == ("fail", 1)
    assert "no quorum" in lapsed.why
    assert drive.status("v") == "failed"
    assert drive.state.status == "failed"
    assert drive.state.failure is not None
    assert "no quorum" in drive.state.failure.message


def test_a_retried_ballot_is_a_new_round_in_which_all_vote_anew() -> None:
    drive = Drive(THREE)
    drive.done("v.1", {"choice": "ship"})
    drive.wait(61)
    drive.ask(RetryMission(id="again", mission="m"))
    assert [event.round for event in drive.said(BallotOpened)] == [1, 2]
    for name in ("v.1", "v.2", "v.3"):
        drive.done(name, {"choice": "wait"}) if drive.status(name) == "ready" else None
    decided = drive.said(BallotDecided)[0]
    assert (decided.round, decided.choice) == (2, "wait")


def test_a_later_vote_takes_the_place_of_the_earlier_and_both_stay_on_record() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "fail"))
    cast(drive, "ann", "ship")
    cast(drive, "ann", "wait")
    assert [event.choice for event in drive.said(BallotCast)] == ["ship", "wait"]
    cast(drive, "bob", "wait")
    assert drive.said(BallotDecided)[0].tally == {"ship": 0.0, "wait": 3.0}


def test_a_command_that_is_delivered_twice_votes_once() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "fail"))
    cast(drive, "ann", "ship", id_="once")
    cast(drive, "ann", "wait")
    cast(drive, "ann", "ship", id_="once")
    assert [event.choice for event in drive.said(BallotCast)] == ["ship", "wait"]


@pytest.mark.parametrize(
    ("voter", "choice", "why"),
    [
        ("eve", "ship", "may not vote"),
        ("oracle", "ship", "votes by what it does as agent"),
        ("ann", "sleep", "none of the options"),
    ],
)
def test_a_vote_by_command_is_refused(voter: str, choice: str, why: str) -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "fail"))
    with pytest.raises(Refused, match=why):
        cast(drive, voter, choice)


def test_a_late_vote_is_refused_also_before_anybody_has_counted() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "fail"))
    drive.now = drive.said(BallotOpened)[0].closes_at
    with pytest.raises(Refused, match="too late"):
        cast(drive, "ann", "ship")


def test_there_must_be_a_ballot() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "fail"))
    with pytest.raises(Refused, match="no ballot 'w'"):
        cast(drive, "ann", "ship", ballot="w")


def test_an_agent_votes_from_within_its_attempt_and_under_its_own_name_only() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "fail"))
    drive.votes("work", "oracle", "v", choice="wait", reason="stars")
    drive.votes("work", "ann", "v", choice="ship")
    voted, refused = drive.said(BallotCast)[0], drive.said(BallotRefused)[0]
    assert (voted.voter, voted.task, voted.attempt, voted.reason) == ("oracle", "work", 1, "stars")
    assert (refused.voter, refused.why) == ("ann", "'ann' is no member of the electorate")
    cast(drive, "bob", "wait")
    drive.votes("work", "oracle", "v", choice="ship", reason="changed my mind")
    late = drive.said(BallotRefused)[1]
    assert (late.why, late.reason) == ("the ballot is decided", "changed my mind")


def test_two_votes_of_one_attempt_count_in_their_order() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "fail"))
    drive.votes("work", "oracle", "v", choice="wait")
    drive.votes("work", "oracle", "v", choice="ship")
    assert drive.state.ballots["v"].votes["oracle"].choice == "ship"


def test_the_status_quo_stands_where_nothing_is_decided() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "status_quo"))
    drive.wait(61)
    decided = drive.said(BallotDecided)[0]
    assert (decided.choice, decided.how, decided.absent) == ("wait", "status_quo", ("ann", "bob", "oracle"))
    assert drive.output("v")["choice"] == "wait"


def test_a_person_decides_what_the_votes_left_open() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "ask"))
    settle = SettleBallot(id="s1", mission="m", ballot="v", choice="ship", reason="I say so", by="boss")
    with pytest.raises(Refused, match="asks nobody"):
        drive.ask(settle)
    drive.wait(61)
    assert drive.said(BallotLapsed)[0].then == "ask"
    assert drive.status("v") == "voting"
    with pytest.raises(Refused, match="too late"):
        cast(drive, "ann", "ship")
    with pytest.raises(Refused, match="none of the options"):
        drive.ask(settle.model_copy(update={"choice": "sleep"}))
    drive.ask(settle)
    drive.ask(settle)
    decided = drive.said(BallotDecided)
    assert [(one.choice, one.how, one.by, one.why) for one in decided] == [("ship", "person", "boss", "I say so")]


def test_a_ballot_is_opened_by_command_beside_the_plan() -> None:
    drive = Drive("tasks: {work: {skill: code}}")
    terms = Terms(question="Lunch?", options=("yes", "no"), electorate=(Elector(name="ann"), Elector(name="bob")))
    wish = OpenBallot(id="o1", mission="m", ballot="lunch", terms=terms)
    drive.ask(wish)
    drive.ask(wish)
    assert len(drive.said(BallotOpened)) == 1
    for name in ("lunch", "work"):
        with pytest.raises(Refused, match="there already"):
            drive.ask(OpenBallot(id="o2", mission="m", ballot=name, terms=terms))
    cast(drive, "ann", "yes", ballot="lunch")
    cast(drive, "bob", "yes", ballot="lunch")
    assert drive.state.ballots["lunch"].choice == "yes"
    tasks = Terms(question="?", options=("a",), electorate=(Elector(name="work", kind="task"),))
    with pytest.raises(Refused, match="only a ballot of the plan"):
        drive.ask(OpenBallot(id="o3", mission="m", ballot="other", terms=tasks))


def test_a_ballot_ends_with_its_mission() -> None:
    drive = Drive(PEOPLE.replace("UNDECIDED", "fail"))
    drive.ask(CancelMission(id="x", mission="m"))
    assert drive.state.ballots["v"].status == "closed"
    with pytest.raises(Refused, match="closed"):
        cast(drive, "ann", "ship")


def test_a_paused_mission_goes_on_counting_and_opens_nothing() -> None:
    drive = Drive(THREE)
    drive.ask(PauseMission(id="p", mission="m"))
    drive.done("v.1", {"choice": "ship"})
    drive.done("v.2", {"choice": "ship"})
    assert drive.said(BallotDecided)[0].choice == "ship"
    assert drive.status("use") == "waiting"


def test_options_that_make_no_ballot_fail_the_task() -> None:
    drive = Drive("""
tasks:
  list: {skill: analyze}
  v: {vote: {question: Q, options: "${list.output.options}", voters: [review]}}
""")
    drive.done("list", {"options": ["a", 3]})
    assert drive.status("v") == "failed"
    assert "makes no ballot" in drive.state.tasks["v"].reason


def test_a_fork_counts_the_same_votes_anew_and_an_outcome_can_be_changed() -> None:
    drive = Drive(THREE)
    for name, choice in (("v.1", "wait"), ("v.2", "ship"), ("v.3", "ship")):
        drive.done(name, {"choice": choice})
    drive.done("use")
    origin = recording_of(drive.facts, 2)
    same = ForkPlay(ForkMission(id="f", mission="f", origin="m", at=2), origin).to_the_end()
    assert same.executed == {}
    assert same.state.ballots["v"].choice == "ship"
    change = (ForkChange(path="task.v.output.choice", value="wait"),)
    other = ForkPlay(ForkMission(id="g", mission="g", origin="m", at=2, changes=change), origin).to_the_end()
    assert [ready.inputs for ready in other.executed.values()] == [{"how": "wait"}]
    assert not other.state.ballots
    voted = ForkMission(
        id="h", mission="h", origin="m", at=2, changes=(ForkChange(path="task.v.3.output.choice", value="wait"),)
    )
    recount = ForkPlay(voted, origin).to_the_end()
    assert recount.state.ballots["v"].choice == "wait"
