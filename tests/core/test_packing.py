"""Compressed messages: what is small or random stays as it is, and nothing unpacks to more than a message may be."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from events.jetstream.packing import FROM, MOST, packed, unpacked

LARGE = b'[{"id":"1","type":"task.ready"},{"id":"2","type":"task.ready"}]' * 1000


def test_there_and_back() -> None:
    payload, said = packed(LARGE)
    assert (said, len(payload) < len(LARGE) / 20) == ((("Content-Encoding", "zstd"),), True)
    assert unpacked(payload) == LARGE


@pytest.mark.parametrize("payload", [b"", b"{}", b"x" * (FROM - 1), os.urandom(FROM * 2), b"x" * (MOST + 1)])
def test_what_is_small_too_large_or_gets_no_smaller_stays(payload: bytes) -> None:
    assert packed(payload) == (payload, ())
    assert unpacked(payload) == payload


def test_what_would_be_too_much_is_not_unpacked() -> None:
    assert unpacked(packed(b"0" * MOST)[0]) == b"0" * MOST
    for bomb in (
        zstandard.compress(b"0" * (MOST + 1)),
        zstandard.compress(b"0" * 1_000_000_000),
        zstandard.ZstdCompressor(write_content_size=False).compress(LARGE),  # of a size that it does not tell
    ):
        assert unpacked(bomb) == bomb


def test_what_is_broken_stays_as_it_is() -> None:
    payload, _ = packed(LARGE)
    for broken in (payload[:-1], payload[:5], payload[:20] + b"\xff" * 20 + payload[40:], payload + b"{}"):
        assert unpacked(broken) == broken


@given(st.binary(max_size=3 * FROM))
def test_any_bytes(raw: bytes) -> None:
    unpacked(raw)
    unpacked(b"\x28\xb5\x2f\xfd" + raw)
    assert unpacked(packed(raw * 4)[0]) == raw * 4


def test_threads_do_not_share_what_they_work_with() -> None:
    payloads = [(b"%d " % number) * 20_000 for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda one: unpacked(packed(one)[0]), payloads)) == payloads
