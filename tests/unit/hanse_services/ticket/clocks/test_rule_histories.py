"""Whatever happens to a ticket under conditions, every clock is the exact sum of its segments."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import clocks_to_proto
from tests.unit.hanse_services.ticket.clocks.test_rules import TicketUnderRules

EXAMPLES = 60
CONDITIONS = """{
  response: {pause: '!current.assigned'},
  resolution: {time: ELAPSED, pause: 'current.waiting_for == "customer"', reset: ticket.tier == 2},
  next_reply: {cancel: ticket.tier == 3},
  periodic_update: {start: current.assigned},
}"""
IN_PROGRESS: dict[str, object] = {"state": pb.IN_PROGRESS, "waiting_for": ""}
CHANGES: tuple[dict[str, object], ...] = (
    IN_PROGRESS,
    {"state": pb.WAITING, "waiting_for": "customer"},
    {"state": pb.WAITING, "waiting_for": "vendor"},
    {"assignee": "units/shanghai/agents/li"},
    {"assignee": ""},
    {"tier": 1},
    {"tier": 2},
    {"tier": 3},
)
KINDS = (pb.Clock.NEXT_REPLY, pb.Clock.PERIODIC_UPDATE)

steps = st.one_of(
    st.sampled_from(CHANGES),
    st.tuples(st.sampled_from(("begin", "stop")), st.sampled_from(KINDS)),
)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(st.lists(steps, max_size=12))
def test_a_clock_under_conditions_is_the_sum_of_its_segments(
    history: list[dict[str, object] | tuple[str, pb.Clock.Kind.ValueType]],
) -> None:
    desk = TicketUnderRules(CONDITIONS)
    for step in history:
        if isinstance(step, dict):
            desk.after_an_hour(**step)
        else:
            desk.now += timedelta(minutes=30)
            getattr(desk, step[0])(step[1])
        check(desk)


def check(desk: TicketUnderRules) -> None:
    shown = list(clocks_to_proto(desk.standards, desk.ticket, desk.now))
    for clock in shown:
        parts = [segment.used_duration.ToTimedelta() for segment in clock.segments]
        assert clock.used_duration.ToTimedelta() == sum(parts, timedelta(0))
        assert all(part >= timedelta(0) for part in parts)
        # No clock uses up more than has passed since it started, and what stood used up nothing.
        until = clock.stop_time if clock.HasField("stop_time") else None
        end = until.ToDatetime(desk.now.tzinfo) if until else desk.now
        assert clock.used_duration.ToTimedelta() <= end - clock.start_time.ToDatetime(desk.now.tzinfo)
        assert not any(part for part, segment in zip(parts, clock.segments, strict=True) if not segment.running)
        for before, after in itertools.pairwise(clock.segments):
            assert before.end_time.ToNanoseconds() <= after.start_time.ToNanoseconds()
    still_open = Counter(clock.kind for clock in shown if not clock.HasField("stop_time"))
    assert all(count == 1 for count in still_open.values())
    # What runs has a deadline.
    assert all(clock.HasField("due_time") for clock in shown if clock.state == pb.Clock.RUNNING)
