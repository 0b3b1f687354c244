"""Which mission is meant by an id, the beginning of one, or ``last``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schemas.errors import InvalidInput

if TYPE_CHECKING:
    from stigmergy.client import Client
    from stigmergy.mission_handle import MissionHandle

_SHORTEST = 8


async def find(client: Client, said: str) -> MissionHandle:
    """The mission. Raises :class:`InvalidInput` if there is none, or several."""
    ids = [row.id for row in await client.missions()]
    if said not in ids and said != "last" and not any(one.startswith(said) for one in ids):
        from stigmergy.missions import no_mission

        if (await client.bus.log.oldest())[0] > 1:
            raise await no_mission(client.bus.log, said)
    return client.mission(meant(said, ids))


def meant(said: str, ids: Sequence[str]) -> str:
    """The id that is meant, among all of them, newest first."""
    if said in ids:
        return said
    if not ids:
        raise InvalidInput("there are no missions yet", hint="for instance: stig run hello")
    if said == "last":
        return ids[0]
    fitting = [one for one in ids if one.startswith(said)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting or not said:
        raise InvalidInput(f"there is no mission {said!r}", hint="`stig mission list` shows them")
    raise InvalidInput(
        f"{said!r} may be any of {len(fitting)} missions", hint=f"write more of it, for instance: {fitting[0]}"
    )


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Each id cut to one length at which all still differ."""
    length = _SHORTEST
    longest = max((len(one) for one in ids), default=0)
    while length < longest and len({one[:length] for one in ids}) < len(ids):
        length += 1
    return {one: one[:length].rstrip("-") for one in ids}
