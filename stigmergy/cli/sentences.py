"""One line about one event, in plain English, as rich markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stigmergy.cli.screen import counted, plain, size, span

if TYPE_CHECKING:
    from schemas.envelope import Event

Data = dict[str, Any]

STATE_CHANGES = frozenset(
    {
        "mission.submitted",
        "mission.forked",
        "mission.extended",
        "mission.paused",
        "mission.resumed",
        "mission.reopened",
        "mission.completed",
        "mission.failed",
        "mission.cancelled",
        "goal.achieved",
        "goal.failed",
        "attempt.started",
        "task.succeeded",
        "task.adopted",
        "task.failed",
        "task.retried",
        "task.handed_over",
        "task.handed_back",
        "task.asked",
        "task.answered",
        "task.stuck",
        "task.replanned",
        "world.tripped",
        "world.warned",
        "task.skipped",
        "task.cancelled",
        "world.violated",
        "workspace.conflicted",
        "action.refused",
        "action.expired",
        "ballot.opened",
        "ballot.cast",
        "ballot.refused",
        "ballot.decided",
        "ballot.lapsed",
        "task.chosen",
    }
)
"""What a mission's progress consists of when it is told line by line."""

STEPS = frozenset(
    {
        "agent.acted",
        "agent.thought",
        "tool.called",
        "task.asked",
        "world.tripped",
        "world.warned",
        "world.violated",
        "workspace.conflicted",
        "task.retried",
        "task.replanned",
        "task.handed_over",
        "task.handed_back",
        "task.failed",
        "action.expired",
        "action.refused",
        "note.posted",
        "mission.extended",
        "ballot.decided",
        "ballot.lapsed",
        "task.chosen",
    }
)
"""What is worth a line below a progress that is drawn."""


def sentence(event: Event) -> str:
    """The line: mark, what it is about, what happened."""
    data = event.data_as_dict()
    told = _TOLD.get(event.type)
    mark = _MARKS.get(event.type.partition(".")[2], _MARKS.get(event.type, "[dim]·[/]"))
    if told is not None:
        try:
            return f"{mark} {told(data)}"
        except (KeyError, TypeError):  # written by another release, with other fields
            pass
    return f"{mark} {event.type} [dim]{plain(_brief(data))}[/]"


def _brief(data: Data, most: int = 100) -> str:
    shown = ", ".join(f"{name}={value}" for name, value in data.items() if value not in (None, "", [], {}))
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def short(text: str, most: int = 160) -> str:
    """One line of a text, as markup."""
    line = " ".join(text.split())
    return plain(line if len(line) <= most else line[: most - 1] + "…")


def _task(data: Data) -> str:
    number = data.get("attempt", 1)
    return plain(str(data.get("task", ""))) + (f" [dim]#{number}[/]" if number and number > 1 else "")


def _failure(data: Data) -> str:
    return short(str((data.get("failure") or {}).get("message", "")))


def _violated(data: Data) -> str:
    return f"{_task(data)} is not as expected: " + "; ".join(short(v["message"]) for v in data.get("violations", ()))


def _budget(limits: Data | None) -> str:
    return f" [dim]with a budget of {plain(', '.join(f'{u} {n}' for u, n in limits.items()))}[/]" if limits else ""


def _more(spent: Data) -> str:
    return " ".join(["ID", *(f"--budget {plain(unit)}=MORE" for unit in spent)])


def _scope(data: Data) -> str:
    named = [f"{what} {data[what]}" for what in ("tenant", "mission", "agent", "worker") if data.get(what)]
    return plain(", ".join(named) or "everything")


def _called(data: Data) -> str:
    result = _brief(data.get("result") or {}, 60)
    failed = " [red]failed[/]" if data.get("outcome") == "failed" else ""
    tail = f" [dim]{plain(result)}[/]" if result else ""
    took = span(data.get("duration_s", 0))
    return f"{_task(data)} [dim]used[/] {plain(str(data.get('tool')))}{failed} [dim]{took}[/]{tail}"


def _voted(data: Data) -> str:
    said = " > ".join(data.get("ranking") or ()) or "abstains"
    why = f" [dim]{short(data['reason'])}[/]" if data.get("reason") else ""
    return f"{plain(data['ballot'])}: {plain(data['voter'])} votes {plain(said)}{why}"


def _decided(data: Data) -> str:
    dissent = ", ".join(one["voter"] for one in data.get("dissent", ()))
    tail = f" [dim]against {plain(dissent)}[/]" if dissent else ""
    how = {"status_quo": ", the status quo", "person": " by a person"}.get(data.get("how", ""), "")
    return (
        f"{plain(data['ballot'])} is decided{how}: {plain(data['choice'])} [dim]{short(data.get('why', ''))}[/]{tail}"
    )


def _chosen(data: Data) -> str:
    what = f"takes {plain(data['winner'])}" if data.get("winner") else "is put together"
    return f"{_task(data)} {what}: {short(data.get('why', ''))}"


def _used(seen: Data) -> str:
    told = [f"{span(seen['cpu_s'])} of processor time"] if (seen.get("cpu_s") or 0) >= 1 else []
    told += [size(seen["peak_memory_bytes"])] if seen.get("peak_memory_bytes") else []
    return f" [dim]used {', '.join(told)}[/]" if told else ""


_MARKS = {
    "succeeded": "[green]✓[/]", "achieved": "[green]✓[/]", "completed": "[green]✓[/]", "confirmed": "[green]✓[/]",
    "failed": "[red]✗[/]", "violated": "[red]✗[/]", "tripped": "[red]✗[/]", "refused": "[red]✗[/]", "lost": "[red]✗[/]",
    "warned": "[yellow]![/]", "retried": "[yellow]↻[/]", "expired": "[yellow]↻[/]", "reopened": "[yellow]↻[/]",
    "decided": "[green]✓[/]", "lapsed": "[red]✗[/]", "chosen": "[green]✓[/]", "cast": "[cyan]▸[/]",
    "conflicted": "[yellow]≠[/]", "cancelled": "[dim]○[/]", "skipped": "[dim]○[/]",
    "handed_over": "[cyan]⇄[/]", "handed_back": "[yellow]⇄[/]", "took_over": "[cyan]⇄[/]",
    "started": "[cyan]▸[/]", "submitted": "[cyan]▸[/]", "forked": "[cyan]⑂[/]", "adopted": "[cyan]⑂[/]",
}  # fmt: skip

_TOLD: dict[str, Callable[[Data], str]] = {
    "mission.submitted": lambda d: f"mission: {short(d['objective'])}",
    "mission.forked": lambda d: (
        f"forked from {plain(d['origin']['mission'])}@{d['origin']['at']}: "
        f"{counted(len(d.get('changes', ())), 'change')}, {counted(len(d.get('results', ())), 'result')} on record"
    ),
    "mission.planned": lambda d: (
        f"planned {counted(len(d['plan'].get('tasks', ())), 'task')}, "
        f"{counted(len(d['plan'].get('groups', ())), 'group')}"
    ),
    "mission.extended": lambda d: (
        f"{plain(d['group'])} unfolds into {counted(len(d['branches']), 'branch', 'branches')}"
    ),
    "mission.paused": lambda d: f"mission paused {short(d.get('reason', ''))}",
    "mission.resumed": lambda d: f"mission resumed{_budget(d.get('budget'))}",
    "mission.reopened": lambda d: f"mission goes on: {plain(', '.join(d['tasks']))}",
    "mission.completed": lambda d: "mission completed",
    "mission.failed": lambda d: f"mission failed: {_failure(d)}",
    "mission.cancelled": lambda d: f"mission cancelled {short(d.get('reason', ''))}",
    "goal.achieved": lambda d: f"goal {plain(d['goal'])} achieved",
    "goal.failed": lambda d: f"goal {plain(d['goal'])} given up: {_failure(d)}",
    "task.ready": lambda d: f"{_task(d)} is ready",
    "task.succeeded": lambda d: f"{_task(d)} succeeded",
    "task.adopted": lambda d: (
        f"{_task(d)} {'failed as it had' if d.get('failure') else 'changed' if d.get('changed') else 'reused'}"
        + (f" [dim]from {plain(d['origin_task'])}[/]" if d["origin_task"] != d["task"] else "")
    ),
    "task.failed": lambda d: f"{_task(d)} failed: {_failure(d)}",
    "task.retried": lambda d: f"{_task(d)} is tried again: {_failure(d)}",
    "task.handed_over": lambda d: (
        f"{_task(d)} is handed over by {plain(d['giver'])} to {plain(d['skill'])}: {short(d['why'])}"
    ),
    "task.handed_back": lambda d: f"{_task(d)} goes back to {plain(d['skill'])}: {_failure(d)}",
    "agent.took_over": lambda d: f"{_task(d)} [dim]has what attempt {d['giver']} handed over[/]",
    "agent.asked": lambda d: f"{_task(d)} [dim]{plain(d['by'])} asks about[/] {plain(d['topic'])}",
    "agent.answered": lambda d: (
        f"{_task(d)} [dim]{plain(d['agent'])} on {plain(d['worker'])} {plain(d['outcome'])}[/] {plain(d['topic'])}"
    ),
    "agent.heard": lambda d: (
        f"{_task(d)} [dim]heard {plain(d['outcome'])} after {counted(d['tries'], 'try', 'tries')}[/]"
    ),
    "task.asked": lambda d: f"{_task(d)} asks: {short(d['question'])}",
    "task.answered": lambda d: f"{_task(d)} is answered: {plain(d['decision'])} {short(d.get('advice', ''))}",
    "task.stuck": lambda d: f"{_task(d)} is stuck, and the planner is asked: {_failure(d)}",
    "task.replanned": lambda d: (
        f"{_task(d)} is replaced by {plain(', '.join(part['id'] for part in d['tasks']))}"
        f" [dim]{plain(d.get('by', ''))}[/]"
    ),
    "world.warned": lambda d: f"most of the budget is spent: {short(d['message'])}",
    "world.tripped": lambda d: (
        f"the budget is spent: {short(d['message'])}; allow more: stig mission resume {_more(d['spent'])}"
        if d.get("spent")
        else f"stopped for safety: {short(d['message'])} [dim]{plain(d['rule'])}[/]"
    ),
    "task.chosen": _chosen,
    "ballot.opened": lambda d: (
        f"{plain(d['ballot'])} is put to a vote: {short(d['terms']['question'])} "
        f"[dim]{plain(', '.join(d['terms']['options'][:8]))}[/]"
    ),
    "ballot.cast": _voted,
    "ballot.refused": lambda d: (
        f"{plain(d['ballot'])}: the vote of {plain(d['voter'])} does not count: {short(d['why'])}"
    ),
    "ballot.decided": _decided,
    "ballot.lapsed": lambda d: (
        f"{plain(d['ballot'])} is undecided: {short(d['why'])}"
        + (" [dim]a person is asked[/]" if d["then"] == "ask" else "")
    ),
    "attempt.voted": lambda d: f"{_task(d)} [dim]votes in[/] {plain(d['ballot'])}",
    "task.skipped": lambda d: f"{_task(d)} skipped: {short(d['reason'])}",
    "task.cancelled": lambda d: f"{_task(d)} cancelled",
    "action.dispatched": lambda d: (
        f"{_task(d)} given to {plain(given['worker'])}"
        if (given := d.get("order", {}).get("given"))
        else f"{_task(d)} sent to {plain(d['queue'])}"
    ),
    "action.refused": lambda d: f"{_task(d)} cannot be dispatched: {_failure(d)}",
    "action.expired": lambda d: f"{_task(d)} lost: {_failure(d)}",
    "attempt.started": lambda d: f"{_task(d)} started [dim]{plain(d['agent'])} on {plain(d['worker'])}[/]",
    "attempt.finished": lambda d: (
        f"{_task(d)} offers the task to {plain(d['hand_off']['to'])}: {short(d['hand_off']['why'])}"
        if d.get("hand_off")
        else f"{_task(d)} reported {plain(d['outcome'])}{_used(d.get('observation') or {})}"
    ),
    "attempt.progressed": lambda d: f"{_task(d)} [dim]{short(d['message'])}[/]",
    "agent.acted": lambda d: f"{_task(d)} [dim]{short(d['text'])}[/]",
    "agent.thought": lambda d: f"{_task(d)} [dim italic]{short(d['text'])}[/]",
    "tool.called": _called,
    "world.violated": _violated,
    "world.confirmed": lambda d: f"{_task(d)} is as expected [dim]{plain(', '.join(d.get('checks', ())))}[/]",
    "workspace.conflicted": lambda d: f"{plain(d['side'])} conflicts in {plain(', '.join(d['paths'][:4]))}",
    "worker.joined": lambda d: f"worker {plain(d['worker'])} joined [dim]{plain(', '.join(d['skills']))}[/]",
    "worker.left": lambda d: f"worker {plain(d['worker'])} left [dim]{short(d.get('reason', ''))}[/]",
    "reflex.stopped": lambda d: f"stopped: {_scope(d)} {short(d.get('reason', ''))}",
    "reflex.resumed": lambda d: f"{counted(len(d['lifts']), 'stop')} lifted {short(d.get('reason', ''))}",
    "fleet.lost": lambda d: f"worker {plain(d['worker'])} is lost, silent for {d['silent_s']:.1f} s",
    "note.posted": lambda d: f"note: {short(d['text'])}",
    "command.refused": lambda d: f"{plain(d['verb'])} refused: {short(d['reason'])}",
}
