"""Whatever happened to a ticket: in any order, and from its rows or from its history, its clocks come out the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.log.events import Origin, new_event
from hanse.policy import Standards, load_yaml
from hanse.policy.histories import Histories, TicketHistory
from hanse.session import plain
from hanse.times import timestamp
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.recomputing import Recomputation, Recomputed
from hanse_services.ticket.clocks.repair import signature
from hanse_services.ticket.clocks.replaying import Replayed, carry_over_steps, key_of, replay
from hanse_services.ticket.clocks.rows import used_until
from hanse_services.ticket.clocks.segments import segments_of
from hanse_services.ticket.model import Clock, StepAction, Ticket

SHANGHAI, MUNICH = "units/shanghai", "units/munich"
NAME = f"{SHANGHAI}/tickets/a"
OPENING = datetime(2026, 10, 22, 6, tzinfo=UTC)
MOST_MINUTES = 5 * 1440
NOW = OPENING + timedelta(minutes=MOST_MINUTES)
POLICY = """
title: Everything that a clock can meet
categories: [{id: display, skill: display}]
calendars:
  - {id: shanghai, time_zone: Asia/Shanghai, shifts: [{days: MON-SAT, start: "09:00", end: "18:00"}]}
  - {id: munich, time_zone: Europe/Berlin, shifts: [{days: MON-SUN, start: "00:00", end: "06:00"}]}
units:
  - {unit: units/hq, calendar: munich, languages: [en], skills: [display]}
  - {unit: units/munich, calendar: munich, languages: [de], skills: [display]}
  - {unit: units/shanghai, calendar: shanghai, languages: [zh], skills: []}
agreements:
  - {id: tier-1, kind: TIER, when: ticket.tier == 1, duration: 2h, warn_percents: [50]}
  - {id: provider, kind: ENGAGEMENT, duration: 4h}
  - {id: acme, kind: SUPPLIER, supplier: acme, duration: 8h, clock: {time: ELAPSED}}
targets:
  - id: p1
    when: ticket.priority == "P1"
    response: 1h
    resolution: 6h
    next_reply: 2h
    periodic_update: 5h
    warn_percents: [50]
    clocks: {periodic_update: {time: ELAPSED, pause: 'current.waiting_for == "customer"'}}
  - {id: p2, when: 'ticket.priority == "P2"', response: 3h, resolution: 12h, warn_percents: [50]}
soft: {review_within: 48h, cap: 72h}
routing: {eligible: "true", score: 0 - load, offer_timeout: 15m, rounds: 1, final_owner: units/hq}
rates: [{id: every, amount: 100.00 EUR}]
"""
LENGTHS = (("duration: 2h", "duration: 3h"), ("duration: 4h", "duration: 1h"), ("resolution: 6h", "resolution: 30m"),
           ("resolution: 12h", "resolution: 40h"), ("next_reply: 2h", "next_reply: 10m"),
           ('end: "18:00"', 'end: "13:00"'))  # fmt: skip
STANDARDS = Standards(1, load_yaml(POLICY))

Step = tuple[str, int]
"""What happens, and after how many minutes."""


def summary(priority: pb.Priority.ValueType = pb.P2, tier: int = 1) -> pb.TicketSummary:
    return pb.TicketSummary(name=NAME, holder=SHANGHAI, priority=priority, category="display", tier=tier, state=pb.NEW)


def handed_over(before: str, after: str) -> told.TicketHandedOver:
    return told.TicketHandedOver(ticket=summary(), from_unit=before, to_unit=after, engagement=f"{NAME}/engagements/e1")


def suspended(at: datetime) -> told.TicketSuspended:
    times = {"review_time": timestamp(at + timedelta(days=1)), "cap_time": timestamp(at + timedelta(days=3))}
    return told.TicketSuspended(ticket=summary(), **times)


MAKERS: dict[str, Any] = {
    "answer": lambda _: told.TicketCommented(ticket=summary(), public=True),
    "ask": lambda _: told.TicketCommented(ticket=summary(), public=True),
    "wait for the customer": lambda _: told.TicketPaused(ticket=summary(), waiting_for="customer"),
    "wait for a supplier": lambda _: told.TicketPaused(ticket=summary(), waiting_for="vendor", supplier="acme"),
    "suspend": suspended,
    "review": lambda _: told.TicketReviewDue(ticket=summary()),
    "resume": lambda _: told.TicketResumed(ticket=summary()),
    "to munich": lambda _: handed_over(SHANGHAI, MUNICH),
    "to shanghai": lambda _: handed_over(MUNICH, SHANGHAI),
    "climb": lambda _: told.TicketEscalated(ticket=summary(tier=2), from_tier=1),
    "is a p1": lambda _: told.TicketReclassified(ticket=summary(pb.P1)),
    "is a p2": lambda _: told.TicketReclassified(ticket=summary(pb.P2)),
    "is a p3": lambda _: told.TicketReclassified(ticket=summary(pb.P3)),
    "resolve": lambda _: told.TicketResolved(ticket=summary()),
    "reopen": lambda _: told.TicketReopened(ticket=summary()),
}
RECLASSIFYING = {name for name in MAKERS if name.startswith("is a")}


def steps(names: set[str]) -> st.SearchStrategy[list[Step]]:
    step = st.tuples(st.sampled_from(sorted(names)), st.integers(1, MOST_MINUTES - 1))
    return st.lists(step, max_size=12, unique_by=lambda one: one[1])


priorities = st.sampled_from((pb.P1, pb.P2, pb.P3))
unhurried = settings(deadline=None, max_examples=80, derandomize=True)


def history_of(told_in_order: list[Step], priority: pb.Priority.ValueType) -> TicketHistory:
    """Read a history from its events, in the order in which they were told."""
    histories = Histories()

    def take(payload: Any, at: datetime, actor: str = f"{SHANGHAI}/agents/li") -> None:
        entry = new_event(Origin(SHANGHAI, actor, policy_version=1), NAME, payload, at, {})
        histories.take(Event.FromString(entry.event))

    take(told.TicketOpened(ticket=summary(priority)), OPENING)
    for what, minutes in told_in_order:
        at = OPENING + timedelta(minutes=minutes)
        take(MAKERS[what](at), at, *(["partners/acme"] if what == "ask" else []))
    return histories.by_ticket[NAME]


def in_time(happened: list[Step]) -> list[Step]:
    return sorted(happened, key=lambda step: step[1])


@unhurried
@given(steps(set(MAKERS)), priorities, st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_heard_of_does_not_matter(
    happened: list[Step], priority: pb.Priority.ValueType, chance: Any
) -> None:
    shuffled = list(happened)
    chance.shuffle(shuffled)
    found = [replay(STANDARDS, history_of(order, priority), NOW) for order in (in_time(happened), shuffled)]
    assert signature(found[0].ticket) == signature(found[1].ticket)
    assert found[0].waiting_duration == found[1].waiting_duration


@unhurried
@given(steps(set(MAKERS)), priorities)
def test_every_clock_is_the_sum_of_segments_that_follow_one_another(
    happened: list[Step], priority: pb.Priority.ValueType
) -> None:
    ticket = replay(STANDARDS, history_of(in_time(happened), priority), NOW).ticket
    for clock in ticket.clocks:
        segments = list(segments_of(ticket, clock))
        edges = [edge for part in segments for edge in (part.start, part.end or NOW)]
        assert edges == sorted(edges)
        parts = [
            STANDARDS.calendars[part.calendar].between(part.start, min(part.end or NOW, NOW))
            for part in segments
            if part.running
        ]
        assert used_until(STANDARDS, ticket, clock, NOW) == sum(parts, timedelta(0))
        if clock.stop_time:
            assert clock.used_duration == sum(parts, timedelta(0))


@unhurried
@given(steps(set(MAKERS) - RECLASSIFYING), st.sampled_from((pb.P1, pb.P2)), st.sets(st.sampled_from(LENGTHS)))
def test_where_lengths_differ_the_rows_say_what_the_history_says(
    happened: list[Step], priority: pb.Priority.ValueType, lengths: set[tuple[str, str]]
) -> None:
    history = history_of(in_time(happened), priority)
    before = lived(replay(STANDARDS, history, NOW))
    written = POLICY
    for old, new in lengths:
        assert old in written
        written = written.replace(old, new)
    after = Standards(2, load_yaml(written))
    recomputed = Recomputation(STANDARDS, after).recomputed(before, NOW)
    assert recomputed is not None
    replayed = replay(after, history, NOW).ticket
    carry_over_steps(before, replayed)
    assert signature(stored(recomputed)) == signature(replayed)
    assert recomputed.ticket.target == replayed.target


def stored(recomputed: Recomputed) -> Ticket:
    """Return a ticket as its rows are once it is stored."""
    steps = {
        key_of(clock): json.loads(written) for clock, written in zip(recomputed.clocks, recomputed.steps, strict=True)
    }
    clocks = [
        plain(Clock, {**vars(clock), "steps": steps.get(key_of(clock), clock.steps)})
        for clock in recomputed.ticket.clocks
    ]
    return plain(Ticket, {**vars(recomputed.ticket), "clocks": clocks})


def lived(replayed: Replayed) -> Ticket:
    """Return a ticket whose desk has done what was due."""
    ticket = replayed.ticket
    carry_over_steps(ticket, ticket)
    for clock in ticket.clocks:
        done = clock.open_steps()
        for step in done:
            if step.action != StepAction.BREACH and step.is_due(NOW):
                step.done_time = step.due_time
        clock.keep_steps(done)
    ticket.version, ticket.update_time, ticket.policy_override = 1, NOW, 0
    return ticket


def test_where_a_condition_differs_the_history_has_to_be_replayed() -> None:
    before = lived(replay(STANDARDS, history_of([], pb.P1), NOW))
    for old, new in (
        ("pause: 'current.waiting_for == \"customer\"'", "pause: 'current.assigned'"),
        ("when: ticket.tier == 1", "when: ticket.tier == 2"),
        ("    next_reply: 2h\n", ""),
        ('ticket.priority == "P1"', 'ticket.priority == "P1" && ticket.tier == 1'),
    ):
        assert old in POLICY
        after = Standards(2, load_yaml(POLICY.replace(old, new)))
        assert Recomputation(STANDARDS, after).recomputed(before, NOW) is None


def test_what_a_ticket_turns_out_to_be_counts_from_its_opening_where_nothing_was_promised_before() -> None:
    ticket = replay(STANDARDS, history_of([("wait for the customer", 60), ("is a p1", 100)], pb.P3), NOW).ticket
    assert {(clock.kind, clock.target, clock.start_time) for clock in ticket.clocks} >= {
        (kind, "p1", OPENING) for kind in (pb.Clock.RESPONSE, pb.Clock.RESOLUTION)
    }
    [response] = (clock for clock in ticket.clocks if clock.kind == pb.Clock.RESPONSE)
    assert response.breach_time == OPENING + timedelta(minutes=60)


def test_a_suspension_and_its_reviews_are_clocks_of_the_history() -> None:
    happened = [("suspend", 60), ("review", 60 + 1440), ("resume", 60 + 2 * 1440)]
    ticket = replay(STANDARDS, history_of(happened, pb.P2), NOW).ticket
    reviews = [clock for clock in ticket.clocks if clock.kind == pb.Clock.REVIEW]
    hours = [clock.target_duration / timedelta(hours=1) for clock in reviews]
    assert (hours, [clock.breach_time for clock in reviews]) == ([24, 48], [None, None])
    assert ticket.waiting_duration == timedelta(days=2)
