"""Clocks that are computed from any history are right: exact sums, whatever came in which order, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.log.events import Origin, new_event
from hanse.policy import Standards, load_yaml
from hanse.policy.histories import Histories, TicketHistory
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.repair import signature
from hanse_services.ticket.clocks.replaying import Replayed, replay
from hanse_services.ticket.clocks.rows import used_until
from hanse_services.ticket.clocks.segments import segments_of
from hanse_services.ticket.model import Clock, Ticket

SHANGHAI, MUNICH = "units/shanghai", "units/munich"
NAME = f"{SHANGHAI}/tickets/a"
MINUTE = timedelta(minutes=1)
# A Thursday: the history crosses a weekend, and the night in which the clocks go back in Munich.
OPENING = datetime(2026, 10, 22, 6, tzinfo=UTC)
MOST_MINUTES = 5 * 1440
NOW = OPENING + MOST_MINUTES * MINUTE

STANDARDS = Standards(
    1,
    load_yaml("""
title: Two calendars
categories: [{id: display, skill: display}]
calendars:
  - {id: shanghai, time_zone: Asia/Shanghai, shifts: [{days: MON-SAT, start: "09:00", end: "18:00"}]}
  - {id: munich, time_zone: Europe/Berlin, shifts: [{days: MON-SUN, start: "00:00", end: "06:00"}]}
units:
  - {unit: units/hq, calendar: munich, languages: [en], skills: [display]}
  - {unit: units/munich, calendar: munich, languages: [de], skills: [display]}
  - {unit: units/shanghai, calendar: shanghai, languages: [zh], skills: []}
targets: [{id: every, response: 3h, resolution: 12h, warn_percents: [50]}]
routing: {eligible: "true", score: 0 - load, offer_timeout: 15m, rounds: 1, final_owner: units/hq}
rates: [{id: every, amount: 100.00 EUR}]
"""),
)
SHIFTS = {
    SHANGHAI: (ZoneInfo("Asia/Shanghai"), range(6), range(9, 18)),
    MUNICH: (ZoneInfo("Europe/Berlin"), range(7), range(6)),
}

Step = tuple[str, int]
"""What happens, and after how many minutes."""
MAKERS: dict[str, Any] = {
    "answer": lambda ticket: told.TicketCommented(ticket=ticket, public=True),
    "pause": lambda ticket: told.TicketPaused(ticket=ticket, waiting_for="customer"),
    "resume": lambda ticket: told.TicketResumed(ticket=ticket),
    "to munich": lambda ticket: told.TicketHandedOver(ticket=ticket, from_unit=SHANGHAI, to_unit=MUNICH),
    "to shanghai": lambda ticket: told.TicketHandedOver(ticket=ticket, from_unit=MUNICH, to_unit=SHANGHAI),
    "resolve": lambda ticket: told.TicketResolved(ticket=ticket),
    "reopen": lambda ticket: told.TicketReopened(ticket=ticket),
}
steps = st.lists(
    st.tuples(st.sampled_from(sorted(MAKERS)), st.integers(1, MOST_MINUTES - 1)),
    max_size=10,
    unique_by=lambda step: step[1],
)
unhurried = settings(deadline=None, max_examples=60, derandomize=True)


def history_of(told_in_order: list[Step]) -> TicketHistory:
    """Read a history from its events, in the order in which they were told."""
    summary = pb.TicketSummary(name=NAME, holder=SHANGHAI, priority=pb.P2, category="display", tier=1, state=pb.NEW)
    histories = Histories()
    opened = ("", 0, told.TicketOpened(ticket=summary))
    for _, minutes, payload in (opened, *((what, at, MAKERS[what](summary)) for what, at in told_in_order)):
        origin = Origin(SHANGHAI, f"{SHANGHAI}/agents/li", policy_version=1)
        entry = new_event(origin, NAME, payload, OPENING + minutes * MINUTE, {})
        histories.take(Event.FromString(entry.event))
    return histories.by_ticket[NAME]


def replayed(told_in_order: list[Step], now: datetime = NOW) -> Replayed:
    return replay(STANDARDS, history_of(told_in_order), now)


def by_kind(ticket: Ticket) -> dict[pb.Clock.Kind.ValueType, Clock]:
    return {clock.kind: clock for clock in ticket.clocks}


@unhurried
@given(steps)
def test_what_is_used_up_is_the_sum_of_segments_that_follow_one_another(happened: list[Step]) -> None:
    ticket = replayed(happened).ticket
    for clock in ticket.clocks:
        segments = list(segments_of(ticket, clock))
        parts = [
            STANDARDS.calendars[part.calendar].between(part.start, min(part.end or NOW, NOW))
            for part in segments
            if part.running
        ]
        assert used_until(STANDARDS, ticket, clock, NOW) == sum(parts, timedelta(0))
        assert all(part >= timedelta(0) for part in parts)
        edges = [edge for part in segments for edge in (part.start, part.end or NOW)]
        assert edges == sorted(edges)
        if clock.stop_time:
            assert clock.used_duration == used_until(STANDARDS, ticket, clock, NOW)


@unhurried
@given(steps, st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_heard_of_does_not_matter(happened: list[Step], chance: Any) -> None:
    shuffled = list(happened)
    chance.shuffle(shuffled)
    in_order = replayed(sorted(happened, key=lambda step: step[1]))
    heard = replayed(shuffled)
    assert signature(heard.ticket) == signature(in_order.ticket)
    assert (heard.waiting_duration, heard.waiting_since) == (in_order.waiting_duration, in_order.waiting_since)


@unhurried
@given(steps, st.integers(0, MOST_MINUTES))
def test_what_has_run_out_by_an_instant_has_run_out_later_too(happened: list[Step], minutes: int) -> None:
    until = sorted((step for step in happened if step[1] <= minutes), key=lambda step: step[1])
    early = by_kind(replayed(until, OPENING + minutes * MINUTE).ticket)
    for kind, clock in by_kind(replayed(happened).ticket).items():
        if early[kind].breach_time:
            assert clock.breach_time == early[kind].breach_time


@unhurried
@given(steps)
def test_the_lines_of_an_explanation_add_up_to_what_each_clock_has_used(happened: list[Step]) -> None:
    found = replayed(happened)
    ends = [*(line.at for line in found.lines[1:]), NOW]
    for clock in found.ticket.clocks:
        worked = timedelta(0)
        for line, end in zip(found.lines, ends, strict=True):
            if (clock.kind, clock.number) in line.running:
                segment = [row for row in found.ticket.segments if row.start_time <= line.at][-1]
                worked += STANDARDS.calendars[segment.calendar].between(line.at, end)
        assert worked == used_until(STANDARDS, found.ticket, clock, NOW)


# Minute by minute.


def is_worked(unit: str, minute: datetime) -> bool:
    zone, days, hours = SHIFTS[unit]
    local = minute.astimezone(zone)
    return local.weekday() in days and local.hour in hours


def oracle(happened: list[Step], target_minutes: int, ends: frozenset[str]) -> tuple[int, int | None]:
    """Live through a history minute by minute: return the minutes that count, and the one at which they are too many.

    A clock ends for good with an answer, where that ends it; with a solution, until the ticket is reopened.
    """
    at = {minutes: what for what, minutes in happened}
    state, holder, answered, count, ran_out = "open", SHANGHAI, False, 0, None
    for minute in range(MOST_MINUTES):
        what = at.get(minute, "")
        if what in ("to munich", "to shanghai"):
            holder = MUNICH if what == "to munich" else SHANGHAI
        elif what == "answer":
            answered = answered or "answer" in ends
        elif what == "resolve":
            state, answered = "solved", answered or "answer" in ends
        elif (what, state) in {("pause", "open"), ("resume", "waiting"), ("reopen", "solved")}:
            state = {"pause": "waiting", "resume": "open", "reopen": "open"}[what]
        if state == "open" and not answered and is_worked(holder, OPENING + minute * MINUTE):
            count += 1
            if count == target_minutes:
                ran_out = minute + 1
    return count, ran_out


@settings(deadline=None, max_examples=25, derandomize=True)
@given(steps)
def test_agrees_with_living_through_it_minute_by_minute(happened: list[Step]) -> None:
    ticket = replayed(happened).ticket
    clocks = by_kind(ticket)
    for kind, minutes, ends in (
        (pb.Clock.RESPONSE, 180, frozenset({"answer"})),
        (pb.Clock.RESOLUTION, 720, frozenset[str]()),
    ):
        count, ran_out = oracle(happened, minutes, ends)
        assert used_until(STANDARDS, ticket, clocks[kind], NOW) == count * MINUTE
        assert clocks[kind].breach_time == (None if ran_out is None else OPENING + ran_out * MINUTE)
