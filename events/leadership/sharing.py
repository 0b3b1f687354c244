"""Sharing partitions out among members: evenly, and moving as few as can be. Pure.

Whoever sees the same owners and members comes to the same result, so nobody has to be asked; and while a result is
being carried out step by step, it stays the result.

Roads not taken: rendezvous hashing needs no owners, but its loads differ by a factor, not by one; a coordinator that
deals them out has to be elected and watched itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


def share_out(partitions: int, owners: Mapping[int, str], members: Collection[str]) -> dict[int, str]:
    """Partition to the member that shall lead it; empty if there are no members.

    Members differ by one partition at most. A member keeps what it has up to its share, the lowest numbers; who has
    most has the larger share, so that no other result moves fewer. What is left goes to who has too few.

    Args:
        owners: who leads now; who is not among the members does not count.
    """
    if not members:
        return {}
    held: dict[str, list[int]] = {member: [] for member in sorted(members)}
    for part in range(partitions):
        if (owner := owners.get(part)) in held:
            held[owner].append(part)
    least, larger = divmod(partitions, len(held))
    by_need = sorted(held, key=lambda member: (-len(held[member]), member))
    shares = {member: least + (place < larger) for place, member in enumerate(by_need)}
    wanted = {part: member for member in by_need for part in held[member][: shares[member]]}
    left = [part for part in range(partitions) if part not in wanted]
    for member in by_need:
        room = shares[member] - min(shares[member], len(held[member]))
        wanted.update(dict.fromkeys(left[:room], member))
        left = left[room:]
    return wanted
