"""How much is open, as one of several orchestrators knows it."""

from __future__ import annotations

from orchestrator.admission import load_of
from schemas.replicas import OpenTasks


def test_what_is_open_is_added_up_over_all_partitions_for_one_tenant() -> None:
    said = [OpenTasks("b", {1: {"acme": 3, "other": 50}, 2: {}}), OpenTasks("c", {3: {"acme": 4}})]
    assert load_of("acme", {0: {"acme": 2}}, said) == 9
    assert load_of("nobody", {0: {"acme": 2}}, said) == 0


def test_a_partition_that_comes_here_is_not_counted_from_who_led_it_before() -> None:
    assert load_of("acme", {1: {"acme": 2}}, [OpenTasks("b", {1: {"acme": 3}})]) == 2
    assert load_of("acme", {1: {}}, [OpenTasks("b", {1: {"acme": 3}})]) == 0  # all of it has ended since


def test_of_a_partition_that_changes_hands_elsewhere_the_last_word_counts() -> None:
    before, after = OpenTasks("b", {1: {"acme": 3}}), OpenTasks("c", {1: {"acme": 2}})
    assert load_of("acme", {}, [before, after]) == 2
    assert load_of("acme", {}, [after, before]) == 3
