"""A schedule is its seed."""

from __future__ import annotations

from collections import Counter

from tests.faults.schedule import LINE_KINDS, Fault, Kind, Plan, at_random, in_turn, length_seconds

PLAN = Plan(
    parts=("shanghai.serve", "postgres"),
    units=("units/shanghai", "units/munich"),
    clocks=("units/shanghai",),
    relays=("shanghai.relay",),
    rounds=10,
)


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert in_turn(7, PLAN) == in_turn(7, PLAN)


def test_the_same_seed_gives_the_same_chaos() -> None:
    assert at_random(7, PLAN, 300.0) == at_random(7, PLAN, 300.0)


def test_another_seed_gives_another_schedule() -> None:
    assert in_turn(7, PLAN) != in_turn(8, PLAN)


def test_the_schedule_of_a_seed_stays_what_it_was_when_somebody_wrote_the_seed_down() -> None:
    first, _, third = in_turn(42, Plan(parts=("a", "b"), units=("units/c",), rounds=1, longest_seconds=5.0))
    assert first == Fault(1.575, Kind.KILL, "b")
    assert third == Fault(7.275, Kind.CUT, "units/c", 4.569)


def test_every_part_is_killed_once_in_each_round() -> None:
    killed = Counter(fault.target for fault in in_turn(1, PLAN) if fault.kind is Kind.KILL)
    assert killed == {"shanghai.serve": 10, "postgres": 10}


def test_every_line_fails_in_every_way() -> None:
    kinds = {fault.kind for fault in in_turn(1, PLAN) if fault.target == "units/munich"}
    assert kinds == set(LINE_KINDS)


def test_faults_are_in_the_order_of_their_times() -> None:
    times = [fault.at_seconds for fault in in_turn(3, PLAN)]
    assert times == sorted(times)


def test_a_schedule_is_over_when_its_last_fault_is() -> None:
    assert length_seconds([Fault(1, Kind.CUT, "units/a", 9.0), Fault(2, Kind.KILL, "b")]) == 10.0
