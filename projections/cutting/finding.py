"""One walk over the bytes of a frame, which finds where everything is.

Texts are bytes in quotes that JSON writes as they are; payloads are parsed by the grammar of RFC 8259, nothing skipped
unread. Whatever else is met ends the walk: the caller parses such a frame event by event. Bytes end with a NUL, which
no loop here goes beyond: it is allowed nowhere in JSON.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from projections.cutting.compiled import begin_of, compiled

Array = np.ndarray[Any, np.dtype[Any]]
Found = tuple[int, int, int, float]
"""Of a field: the place behind it, or -1; the bounds of its text; a number."""

TEXT, WHOLE, NUMBER, INNER, LIST = range(5)
"""Kinds of fields: a text, a whole number, a number, an object with one field that is wanted, a list of such."""
KIND, COLUMN, MOST, NULLABLE, NAME, NAME_END, INNER_NAME, INNER_NAME_END, INNER_KIND, INNER_NULLABLE, WIDTH = range(11)
"""Columns of the table of fields. ``MOST``: the longest text in bytes, or the greatest number."""
_QUOTE, _BACKSLASH, _COMMA, _COLON, _MINUS, _DOT, _ZERO, _SPACE = 34, 92, 44, 58, 45, 46, 48, 32
_OPEN, _CLOSE, _FIRST, _LAST, _E, _NULL, _TRUE, _FALSE = 123, 125, 91, 93, 101, 110, 116, 102
_SPECIAL = np.array([byte < _SPACE or byte in (_QUOTE, _BACKSLASH) for byte in range(256)])
"""What a text ends at, or has to be looked at."""
_DEEPEST = 60
_KEYS, _KNOWN = 32, 3
_RANKS = _KEYS * _KNOWN
KEPT = _RANKS + 64
_NONE = -1
_LONGEST_WHOLE = 15
MOST_EXACT = 10**15
"""Whole numbers up to this one are exact."""
_TENS = tuple(10.0**power for power in range(23))
"""Powers of ten that a float holds exactly: whole numbers up to 2**53 times or by one of them are rounded right."""


# JSON. All take the place where something begins, and return the place behind it, or -1.


@compiled
def _plain(raw: Array, at: int) -> int:
    """The quote that ends a text without escapes."""
    while not _SPECIAL[raw[at]]:
        at += 1
    return at if raw[at] == _QUOTE else _NONE


@compiled
def _escape(raw: Array, at: int) -> int:
    """Behind an escape; halves of pairs are not taken."""
    byte = raw[at + 1]
    if byte != 117:  # u
        return at + 2 if byte in (34, 92, 47, 98, 102, 110, 114, 116) else _NONE
    for place in range(at + 2, at + 6):
        if not (48 <= raw[place] <= 57 or 97 <= raw[place] | 32 <= 102):
            return _NONE
    return _NONE if raw[at + 2] | 32 == 100 and raw[at + 3] > 55 else at + 6  # d8 to df


@compiled
def _text(raw: Array, at: int) -> int:
    """The quote that ends a text."""
    while True:
        while not _SPECIAL[raw[at]]:
            at += 1
        if raw[at] == _QUOTE:
            return at
        at = _escape(raw, at) if raw[at] == _BACKSLASH else _NONE
        if at < 0:
            return _NONE


@compiled
def _gap(raw: Array, at: int) -> int:
    while raw[at] in (32, 9, 10, 13):
        at += 1
    return at


@compiled
def _digits(raw: Array, at: int) -> int:
    while 48 <= raw[at] <= 57:
        at += 1
    return at


@compiled
def _number(raw: Array, at: int) -> int:
    if raw[at] == _MINUS:
        at += 1
    end = at + 1 if raw[at] == _ZERO else _digits(raw, at)
    if end == at:
        return _NONE
    if raw[end] == _DOT:
        at, end = end + 1, _digits(raw, end + 1)
        if end == at:
            return _NONE
    if raw[end] | 32 == _E:
        at = end + 2 if raw[end + 1] in (43, _MINUS) else end + 1
        end = _digits(raw, at)
        if end == at:
            return _NONE
    return end


@compiled
def _leaf(raw: Array, at: int) -> int:
    """Behind a value that holds no others."""
    byte = raw[at]
    if byte == _QUOTE:
        at = _text(raw, at + 1)
        return at + 1 if at >= 0 else _NONE
    if byte == _NULL:
        return at + 4 if raw[at + 1] == 117 and raw[at + 2] == 108 and raw[at + 3] == 108 else _NONE
    if byte == _TRUE:
        return at + 4 if raw[at + 1] == 114 and raw[at + 2] == 117 and raw[at + 3] == _E else _NONE
    if byte == _FALSE:
        rest = raw[at + 1] == 97 and raw[at + 2] == 108 and raw[at + 3] == 115 and raw[at + 4] == _E
        return at + 5 if rest else _NONE
    return _number(raw, at)


@compiled
def _name(raw: Array, at: int, plain: bool) -> tuple[int, int, int]:
    """The bounds of a name, and where its value begins, or -1."""
    key = _gap(raw, at) + 1
    if raw[key - 1] != _QUOTE:
        return 0, 0, _NONE
    end = _plain(raw, key) if plain else _text(raw, key)
    if end < 0:
        return 0, 0, _NONE
    at = _gap(raw, end + 1)
    return key, end, _gap(raw, at + 1) if raw[at] == _COLON else _NONE


@compiled
def _value(raw: Array, at: int) -> int:
    """Behind any value. ``inside``: for each level a bit that says whether it is an object."""
    depth, inside = 0, 0
    while True:
        byte = raw[at]
        if byte in (_OPEN, _FIRST):
            following = _gap(raw, at + 1)
            if raw[following] != byte + 2:  # it is not empty
                depth += 1
                if depth > _DEEPEST:
                    return _NONE
                inside = inside << 1 | (1 if byte == _OPEN else 0)
                at = _name(raw, following, False)[2] if byte == _OPEN else following
                if at < 0:
                    return _NONE
                continue
            at = following + 1
        else:
            at = _leaf(raw, at)
            if at < 0:
                return _NONE
        while True:
            if depth == 0:
                return at
            at = _gap(raw, at)
            if raw[at] == _COMMA:
                break
            if raw[at] != (_CLOSE if inside & 1 else _LAST):
                return _NONE
            depth, inside, at = depth - 1, inside >> 1, at + 1
        at = _name(raw, at + 1, False)[2] if inside & 1 else _gap(raw, at + 1)
        if at < 0:
            return _NONE


# The fields of a payload.


@compiled
def _same(one: Array, at: int, other: Array, begin: int, length: int) -> bool:
    """Whether two are alike; without a way out in the middle, so that it is done many bytes at a time."""
    differing = 0
    for place in range(length):
        differing |= one[at + place] ^ other[begin + place]
    return differing == 0


@compiled
def _measure(raw: Array, at: int, most: int) -> Found:
    """A number that is not negative. What takes more than one multiplication is -1, with the bounds of its text."""
    end = _number(raw, at)
    if end < 0 or raw[at] == _MINUS:
        return _NONE, 0, 0, 0.0
    digits, shift, place, behind_dot = 0, 0, at, False
    while place < end and raw[place] | 32 != _E:
        if raw[place] == _DOT:
            behind_dot = True
        elif digits < MOST_EXACT:
            digits = digits * 10 + raw[place] - 48
            shift -= 1 if behind_dot else 0
        else:
            return end, at, end, -1.0
        place += 1
    if digits == 0:
        return end, 0, 0, 0.0
    if place < end or shift < -22 or digits > 2**53:
        return end, at, end, -1.0
    found = digits / _TENS[-shift]
    return (end if found <= most else _NONE), 0, 0, found


@compiled
def _read(raw: Array, at: int, kind: int, most: int, nullable: int) -> Found:
    """A field that holds no others."""
    if raw[at] == _NULL:
        return (_leaf(raw, at) if nullable else _NONE), 0, 0, 0.0
    if kind == TEXT:
        end = _plain(raw, at + 1) if raw[at] == _QUOTE else _NONE
        return (end + 1 if end >= 0 and end - at - 1 <= most else _NONE), at + 1, end, 0.0
    if kind == WHOLE:
        end = _digits(raw, at)
        if end - at > _LONGEST_WHOLE or raw[end] == _DOT or raw[end] | 32 == _E:
            return _NONE, 0, 0, 0.0
    return _measure(raw, at, most)


@compiled
def _inner(raw: Array, at: int, fields: Array, field: int, names: Array) -> Found:
    """The wanted field of an object."""
    if raw[at] != _OPEN:
        return _NONE, 0, 0, 0.0
    at = _gap(raw, at + 1)
    if raw[at] == _CLOSE:
        return at + 1, 0, 0, 0.0
    begin, length = fields[field + INNER_NAME], fields[field + INNER_NAME_END] - fields[field + INNER_NAME]
    start, stop, number, seen = 0, 0, 0.0, False
    while True:
        key, end, at = _name(raw, at, True)
        if at < 0:
            return _NONE, 0, 0, 0.0
        if end - key == length and _same(raw, key, names, begin, length):
            if seen:
                return _NONE, 0, 0, 0.0
            seen, kind, nullable = True, fields[field + INNER_KIND], fields[field + INNER_NULLABLE]
            at, start, stop, number = _read(raw, at, kind, fields[field + MOST], nullable)
        else:
            at = _value(raw, at)
        if at < 0:
            return _NONE, 0, 0, 0.0
        at = _gap(raw, at) + 1
        if raw[at - 1] == _CLOSE:
            return at, start, stop, number
        if raw[at - 1] != _COMMA:
            return _NONE, 0, 0, 0.0


@compiled
def _list(raw: Array, at: int, fields: Array, field: int, names: Array) -> Found:
    """The wanted field of the first object of a list."""
    if raw[at] != _FIRST:
        return _NONE, 0, 0, 0.0
    at = _gap(raw, at + 1)
    if raw[at] == _LAST:
        return at + 1, 0, 0, 0.0
    at, start, stop, number = _inner(raw, at, fields, field, names)
    while at >= 0:
        at = _gap(raw, at) + 1
        if raw[at - 1] == _LAST:
            return at, start, stop, number
        if raw[at - 1] != _COMMA:
            break
        at = _inner(raw, _gap(raw, at), fields, field, names)[0]
    return _NONE, 0, 0, 0.0


@compiled
def _field(raw: Array, at: int, fields: Array, field: int, names: Array) -> Found:
    kind = fields[field + KIND]
    if kind < INNER or raw[at] == _NULL:
        return _read(raw, at, kind, fields[field + MOST], fields[field + NULLABLE])
    return _inner(raw, at, fields, field, names) if kind == INNER else _list(raw, at, fields, field, names)


@compiled
def _which(raw: Array, key: int, end: int, fields: Array, many: int, names: Array, known: Array, at: int) -> int:
    """The field with this name, or -1. ``known``: at this place the name that was here before, and what it was."""
    length = end - key
    if known[at + 1] - known[at] == length and _same(raw, key, raw, known[at], length):
        return int(known[at + 2])
    found = _NONE
    for number in range(many):
        begin, stop = fields[number * WIDTH + NAME], fields[number * WIDTH + NAME_END]
        if stop - begin == length and _same(raw, key, names, begin, length):
            found = number
    known[at], known[at + 1], known[at + 2] = key, end, found
    return found


@compiled
def _payload(
    raw: Array, at: int, fields: Array, many: int, names: Array, known: Array, places: Array, first: int, width: int,
    numbers: Array, columns: int, event: int,
) -> int:  # fmt: skip
    """The fields of a payload, into the columns of its facts; an empty one is as none, and a later one goes before."""
    for column in range(columns):
        known[_RANKS + column] = _NONE
        places[(first + column) * 2 * width + event] = places[((first + column) * 2 + 1) * width + event] = 0
        numbers[column * width + event] = 0.0
    if raw[at] != _OPEN:
        return _NONE
    at = _gap(raw, at + 1)
    if raw[at] == _CLOSE:
        return at + 1
    seen, ordinal = 0, 0
    while True:
        key, end, at = _name(raw, at, True)
        if at < 0:
            return _NONE
        which = _which(raw, key, end, fields, many, names, known, min(ordinal, _KEYS - 1) * _KNOWN)
        ordinal += 1
        if which < 0:
            at = _value(raw, at)
        else:
            if seen >> which & 1:
                return _NONE
            seen |= 1 << which
            at, start, stop, number = _field(raw, at, fields, which * WIDTH, names)
            column = fields[which * WIDTH + COLUMN]
            if (stop > start or number != 0.0) and which > known[_RANKS + column]:
                known[_RANKS + column], numbers[column * width + event] = which, number
                places[(first + column) * 2 * width + event] = start
                places[((first + column) * 2 + 1) * width + event] = stop
        if at < 0:
            return _NONE
        at = _gap(raw, at) + 1
        if raw[at - 1] == _CLOSE:
            return at
        if raw[at - 1] != _COMMA:
            return _NONE


# Frames.


@compiled
def _envelope(
    raw: Array, at: int, size: int, shared: Array, bounds: Array, pieces: int, places: Array, width: int, event: int
) -> int:
    """The payload of an event that begins here, with what all events share in its places."""
    for piece in range(pieces + 1):
        length = bounds[piece + 1] - bounds[piece]
        if at + length > size or not _same(raw, at, shared, bounds[piece], length):
            return _NONE
        at += length
        if piece < pieces:
            end = _plain(raw, at)
            if end < 0:
                return _NONE
            places[piece * 2 * width + event], places[(piece * 2 + 1) * width + event] = at, end
            at = end
    return at


@compiled
def find(
    frame: Array, texts: Array, bounds: Array, table: Array, names: Array,
    found: Array, measured: Array, kept: Array, most: int,
) -> int:  # fmt: skip
    """Where everything is in a frame; how many events it has, or -1.

    Args:
        frame: its bytes, and the NUL behind them.
        texts: what all events have, in pieces; between two of them is what varies, and behind the last the payload.
        bounds: where the pieces begin, and the last one's end.
        table, names: a row of ``WIDTH`` for each field of the payload, and the names that it speaks of.
        found: begins and ends, in turn, of what varies, of payloads, and of each column of facts.
        measured: of each column of facts. -1 stands for a number whose text is where ``found`` says.
        kept: ``KEPT`` numbers, -1, for itself.
        most: events for which there is room.
    """
    raw, shared, edges, size = begin_of(frame), begin_of(texts), begin_of(bounds), len(frame) - 1
    fields, keys, places, numbers = begin_of(table), begin_of(names), begin_of(found), begin_of(measured)
    known = begin_of(kept)
    pieces, columns, many = len(bounds) - 2, len(measured) // most, len(table) // WIDTH
    end = (pieces * 2 + 1) * most
    at = 1
    for event in range(most):
        at = _envelope(raw, at, size, shared, edges, pieces, places, most, event)
        if at < 0:
            return _NONE
        places[end - most + event] = at
        at = _payload(raw, at, fields, many, keys, known, places, pieces + 1, most, numbers, columns, event)
        if at < 0 or raw[at] != _CLOSE:
            return _NONE
        places[end + event] = at
        if raw[at + 1] == _LAST:
            return event + 1 if at + 2 == size else _NONE
        if raw[at + 1] != _COMMA:
            return _NONE
        at += 2
    return _NONE
