"""The player on a terminal: lanes above, events left, state right, what changed below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stigmergy.cli.drawing import fitted
from stigmergy.cli.player import HELP, Player
from stigmergy.cli.player_lanes import lanes
from stigmergy.cli.player_panels import panel
from stigmergy.cli.screen import clock, plain, status
from stigmergy.cli.sentences import sentence, short
from stigmergy.scene_changes import Change, changes

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_LANES = 6
_CHANGES = 5
_ASKED = {
    "goto": "go to event (or seq:N)",
    "filter": "filter (type: task: agent: worker: since: until: error text)",
}
_NEVER = datetime.fromtimestamp(0, UTC)


class PlayerScreen:
    """Renders the player as often as it is asked; always as high and as wide as the terminal."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        width, height = options.max_width, console.size.height
        for markup in list(self.lines(width, height))[:height]:
            text = Text.from_markup(markup, end="")
            text.truncate(width, overflow="ellipsis")
            yield text
            yield Text("")

    def lines(self, width: int, height: int) -> Iterator[str]:
        """Exactly ``height - 1`` lines of markup; the last line of a terminal stays free, or it would scroll."""
        from rich.text import Text

        player = self._player
        top = [_title(player), _track(player, width), *_lanes(player, width)]
        below = ["[dim]" + "─" * width + "[/]", *_changed(player)]
        room = max(height - len(top) - len(below) - 3, 3)
        left = list(_events(player, room))
        right = fitted(list(panel(player)), room)
        half = max(width * 11 // 20, 20)
        made = [*top, _rule(player, half, width)]
        for row in range(room):
            text = Text.from_markup(left[row] if row < len(left) else "")
            text.truncate(half, overflow="ellipsis", pad=True)
            made.append(f"{text.markup} [dim]│[/] {right[row] if row < len(right) else ''}")
        made += below
        yield from [*made[: height - 2], *[""] * (height - 2 - len(made)), _foot(player)]


def _title(player: Player) -> str:
    cursor, mission = player.cursor, player.cursor.state.mission
    speed = "max" if player.pace.speed == math.inf else f"{player.pace.speed:g}x"
    sign = "[yellow]⏸[/]" if player.pace.paused else "[green]▶[/]"
    live = " [cyan]live[/]" if player.live else ""
    at = f" {clock(player.moment)}" if player.moment else ""
    place = f"{cursor.position:,}/{len(cursor):,}"
    which = f" [dim]{plain(mission.id[:13])}[/]" if cursor.state.others else ""
    told = f"{status(mission.status.value)}{which}  {short(mission.objective, 80)}"
    return f"{sign} {speed}  [bold]{place}[/]{at}{live}  {told}"


def _track(player: Player, width: int) -> str:
    """The whole film as one line: errors in red, the cursor on it."""
    total, cursor = max(len(player.cursor), 1), player.cursor
    wrong = {number * width // total for number, about in enumerate(cursor.about) if about.error}
    head = min(max(cursor.position - 1, 0) * width // total, width - 1)
    drawn = []
    for cell in range(width):
        sign = "●" if cell == head else "━" if cell < head else "─"
        style = "red" if cell in wrong else "bold" if cell == head else "cyan" if cell < head else "bright_black"
        drawn.append(f"[{style}]{sign}[/]")
    return "".join(drawn)


def _lanes(player: Player, width: int) -> list[str]:
    moments = [about.moment for about in player.cursor.about if about.moment > _NEVER]
    if not moments or not player.attempts:
        return []
    begin, end = min(moments), max(moments)
    return list(lanes(player.attempts, begin, end, player.moment or begin, width, _LANES))


def _events(player: Player, room: int) -> Iterator[str]:
    """The wanted events around the cursor, newest below."""
    cursor = player.cursor
    above: list[int] = []
    number = cursor.position
    while number > 0 and len(above) <= room * 2 // 3:
        if cursor.wanted(number) or number == cursor.position:
            above.append(number)
        number -= 1
    below: list[int] = []
    number = cursor.position + 1
    while number <= len(cursor) and len(below) < room - len(above):
        if cursor.wanted(number):
            below.append(number)
        number += 1
    for each in [*reversed(above), *below]:
        event, about = cursor.events[each - 1], cursor.about[each - 1]
        told = f"{each:>6} [dim]{clock(about.moment)}[/] {sentence(event)}"
        if each == cursor.position:
            yield f"[reverse]{told}[/]"
        else:
            yield told if each < cursor.position else f"[dim]{told}[/]"


def _rule(player: Player, half: int, width: int) -> str:
    """The line above both halves, with the panels there are."""
    names = "".join(f" [bold]{name}[/]" if name == player.panel else f" [dim]{name}[/]" for name in player.panels)
    used = sum(len(name) + 1 for name in player.panels) + 1
    return f"[dim]{'─' * (half + 2)}[/]{names} [dim]{'─' * max(width - half - 2 - used, 0)}[/]"


def _changed(player: Player) -> Iterator[str]:
    cursor = player.cursor
    found = changes(cursor.state_at(cursor.position - 1), cursor.state, player.world) if cursor.position else []
    shown = found if len(found) <= _CHANGES else found[: _CHANGES - 1]
    rows = [change_line(change) for change in shown]
    if len(found) > len(shown):
        rows.append(f"[dim]… and {len(found) - len(shown)} more changes[/]")
    if cursor.position and not found:
        rows.append("[dim]nothing changed by it[/]")
    yield from [*rows, *[""] * (_CHANGES - len(rows))]


def change_line(change: Change) -> str:
    """One change as markup."""
    name = f" [bold]{plain(change.name)}[/]" if change.name else ""
    before = "" if change.before in (None, "", {}, ()) else f"[dim]{_value(change.before)} →[/] "
    return f"{change.what}{name} [dim]{plain(change.field)}:[/] {before}{_value(change.after)}"


def _value(value: object) -> str:
    return short("nothing" if value in (None, "") else str(value), 70)


def _foot(player: Player) -> str:
    if player.mode:
        asked = (
            "go to event (or seq:N)"
            if player.mode == "goto"
            else "filter (type: task: agent: worker: since: until: error text)"
        )
        return f"[bold]{asked}:[/] {plain(player.typed)}▏"
    if player.message:
        return f"[yellow]{plain(player.message)}[/]"
    wait = "" if player.cursor.choice == type(player.cursor.choice)() else "[yellow]filtered[/]  "
    return f"{wait}[dim]{HELP}[/]"
