"""Clocks as rows, without a database: what each takes from the ticket's segments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hanse.policy import Standards, load_yaml
from hanse.policy.promises import Promise
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import clocks_to_proto, start_clock
from hanse_services.ticket.clocks.rules import Ruling
from hanse_services.ticket.model import Ticket

FRIDAY = datetime(2026, 11, 27, 14, 0, tzinfo=UTC)
"""15:00 in Munich, two hours before the weekend."""
SHANGHAI, MUNICH = "units/shanghai", "units/munich"

POLICY = """
title: Working time and elapsed time
categories: [{id: display, skill: display}]
calendars:
  - {id: always, time_zone: Etc/UTC, shifts: [{days: MON-SUN, start: "00:00", end: "24:00"}]}
  - {id: office, time_zone: Europe/Berlin, shifts: [{days: MON-FRI, start: "09:00", end: "17:00"}]}
units:
  - {unit: units/shanghai, calendar: always, languages: [zh], skills: [display]}
  - {unit: units/munich, calendar: office, languages: [de], skills: [display]}
targets:
  - id: mixed
    response: 4h
    resolution: 10h
    warn_percents: [1, 33, 50, 99]
    clocks: {response: {time: ELAPSED}}
routing: {eligible: "true", score: "0", offer_timeout: 15m, rounds: 1, final_owner: units/munich}
rates: [{id: every, amount: 100.00 EUR}]
"""


@pytest.fixture(scope="module")
def standards() -> Standards:
    return Standards(1, load_yaml(POLICY))


def opened(standards: Standards, at: datetime = FRIDAY, home: str = MUNICH) -> Ticket:
    """Return a ticket with its clocks, scheduled."""
    ticket = Ticket(name=f"{home}/tickets/1", state=pb.NEW, holder=home, open_time=at, target="mixed")
    settle(standards, ticket, at)
    return ticket


def settle(standards: Standards, ticket: Ticket, at: datetime) -> None:
    Ruling(standards, ticket, at).settle()


def used(standards: Standards, ticket: Ticket, now: datetime) -> dict[str, timedelta]:
    return {
        pb.Clock.Kind.Name(clock.kind): clock.used_duration.ToTimedelta()
        for clock in clocks_to_proto(standards, ticket, now)
    }


def test_a_promise_in_elapsed_time_runs_on_while_the_desk_is_closed(standards: Standards) -> None:
    ticket = opened(standards)
    [response, resolution] = ticket.clocks
    assert response.due_time == FRIDAY + timedelta(hours=4)
    # Two hours on Friday, then eight from nine o'clock on Monday.
    assert resolution.due_time == datetime(2026, 11, 30, 16, 0, tzinfo=UTC)


def test_clocks_that_count_differently_share_their_segments(standards: Standards) -> None:
    ticket = opened(standards)
    assert used(standards, ticket, FRIDAY + timedelta(hours=3)) == {
        "RESPONSE": timedelta(hours=3),
        "RESOLUTION": timedelta(hours=2),
    }


@pytest.mark.parametrize("home", [MUNICH, SHANGHAI])
def test_each_warning_is_due_at_the_second_at_which_its_part_is_used_up(standards: Standards, home: str) -> None:
    """On a calendar with nights and a weekend, and on one without: what is used up at the step's time is its part."""
    ticket = opened(standards, FRIDAY + timedelta(minutes=17, seconds=3), home)
    for row in ticket.clocks:
        kind = pb.Clock.Kind.Name(row.kind)
        for step in row.open_steps():
            due = datetime.fromisoformat(step.due_time or "")
            assert used(standards, ticket, due)[kind] == row.target_duration * step.percent / 100
            assert used(standards, ticket, due - timedelta(seconds=1))[kind] < row.target_duration * step.percent / 100


def test_a_segment_goes_on_where_nothing_that_counts_has_changed(standards: Standards) -> None:
    ticket = opened(standards)
    settle(standards, ticket, FRIDAY + timedelta(hours=1))
    assert len(ticket.segments) == 1


def test_a_clock_that_starts_later_counts_from_its_start(standards: Standards) -> None:
    ticket = opened(standards, home=SHANGHAI)
    later = Promise(kind=pb.Clock.RESPONSE, id="again", duration=timedelta(hours=1), elapsed=False, warn_percents=())
    row = start_clock(standards, ticket, later, FRIDAY + timedelta(hours=2))
    settle(standards, ticket, FRIDAY + timedelta(hours=2))
    assert (row.number, row.due_time) == (2, FRIDAY + timedelta(hours=3))
