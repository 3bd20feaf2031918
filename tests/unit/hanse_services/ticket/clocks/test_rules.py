"""What a policy's conditions make of a ticket's clocks, without a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from hanse.policy import Standards, load_yaml
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import clocks_to_proto, stop_clock
from hanse_services.ticket.clocks.rules import Applied, Ruling
from hanse_services.ticket.model import Ticket

OPENED = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HOME = "units/shanghai"
PATH = "targets[0].clocks"

POLICY = """
title: One target with conditions
categories: [{id: display, skill: display}]
calendars:
  - {id: always, time_zone: Etc/UTC, shifts: [{days: MON-SUN, start: "00:00", end: "24:00"}]}
units:
  - {unit: units/shanghai, calendar: always, languages: [zh], skills: [display]}
targets:
  - {id: every, response: 3h, resolution: 10h, next_reply: 2h, periodic_update: 4h, clocks: {CLOCKS}}
routing: {eligible: "true", score: "0", offer_timeout: 15m, rounds: 1, final_owner: units/shanghai}
rates: [{id: every, amount: 100.00 EUR}]
"""

Desk = Callable[..., "TicketUnderRules"]


class TicketUnderRules:
    """A ticket whose clocks follow it, an hour at a time."""

    def __init__(self, clocks: str) -> None:
        self.standards = Standards(1, load_yaml(POLICY.replace("{CLOCKS}", clocks)))
        self.now = OPENED
        self.ticket = Ticket(
            name=f"{HOME}/tickets/1", state=pb.NEW, holder=HOME, open_time=OPENED, target="every", priority=pb.P2,
            category="display", language="zh", product="", tier=1, assignee="", waiting_for="",
            customer_class=pb.ORDINARY, service="",
        )  # fmt: skip
        self.applied = self._settle()

    def after_an_hour(self, **changes: object) -> list[Applied]:
        """Change the ticket, and return what conditions did."""
        self.now += timedelta(hours=1)
        for name, value in changes.items():
            setattr(self.ticket, name, value)
        return self._settle()

    def _settle(self) -> list[Applied]:
        ruled = Ruling(self.standards, self.ticket, self.now).settle()
        return [each for each in ruled if isinstance(each, Applied)]

    def begin(self, kind: pb.Clock.Kind.ValueType) -> None:
        Ruling(self.standards, self.ticket, self.now).begin(kind)
        self._settle()

    def stop(self, kind: pb.Clock.Kind.ValueType) -> None:
        for row in self.ticket.clocks:
            if row.kind == kind and row.stop_time is None:
                stop_clock(self.standards, self.ticket, row, self.now)

    def clocks(self) -> dict[str, tuple[str, float]]:
        """Return each clock's state, and the hours that it has used up."""
        return {
            f"{pb.Clock.Kind.Name(clock.kind)} {clock.number}": (
                pb.Clock.State.Name(clock.state),
                clock.used_duration.ToTimedelta() / timedelta(hours=1),
            )
            for clock in clocks_to_proto(self.standards, self.ticket, self.now)
        }


def waits(whom: str) -> dict[str, object]:
    return {"state": pb.WAITING, "waiting_for": whom}


def test_without_conditions_all_clocks_stand_while_the_ticket_waits() -> None:
    desk = TicketUnderRules("{}")
    desk.after_an_hour(**waits("vendor"))
    desk.after_an_hour(state=pb.IN_PROGRESS, waiting_for="")
    desk.after_an_hour()
    assert desk.clocks() == {"RESPONSE 1": ("RUNNING", 2), "RESOLUTION 1": ("RUNNING", 2)}


def test_a_clock_with_a_pause_condition_stands_while_it_holds_and_the_others_as_usual() -> None:
    desk = TicketUnderRules("""{resolution: {pause: 'current.waiting_for == "customer"'}}""")
    desk.after_an_hour(**waits("vendor"))
    desk.after_an_hour(waiting_for="customer")
    desk.after_an_hour()
    assert desk.clocks() == {"RESPONSE 1": ("PAUSED", 1), "RESOLUTION 1": ("PAUSED", 2)}


NO_ANSWER = "int(ticket.product) > 3"


@pytest.mark.parametrize("condition", ["pause", "cancel", "reset"])
def test_a_clock_runs_on_where_a_condition_on_it_has_no_answer(condition: str) -> None:
    desk = TicketUnderRules(f"{{response: {{{condition}: {NO_ANSWER}}}}}")
    assert (desk.after_an_hour(product="SAP"), desk.after_an_hour(assignee="units/shanghai/agents/li")) == ([], [])
    assert desk.clocks() == {"RESPONSE 1": ("RUNNING", 2), "RESOLUTION 1": ("RUNNING", 2)}


def test_a_clock_does_not_start_where_its_condition_has_no_answer_and_starts_once_it_has() -> None:
    desk = TicketUnderRules(f"{{response: {{start: {NO_ANSWER}}}}}")
    assert desk.clocks() == {"RESOLUTION 1": ("RUNNING", 0)}
    desk.after_an_hour(product="7")
    assert desk.clocks() == {"RESPONSE 1": ("RUNNING", 0), "RESOLUTION 1": ("RUNNING", 1)}


def test_a_clock_may_stand_while_the_ticket_does_not_wait() -> None:
    desk = TicketUnderRules("{response: {pause: '!current.assigned'}}")
    assert desk.clocks()["RESPONSE 1"] == ("PAUSED", 0)
    desk.after_an_hour(assignee="units/shanghai/agents/li", state=pb.IN_PROGRESS)
    desk.after_an_hour()
    assert desk.clocks() == {"RESPONSE 1": ("RUNNING", 1), "RESOLUTION 1": ("RUNNING", 2)}


def test_a_clock_with_a_start_condition_starts_when_it_first_holds_and_goes_on_when_it_no_longer_does() -> None:
    desk = TicketUnderRules("{resolution: {start: current.assigned}}")
    [started] = desk.after_an_hour(assignee="units/shanghai/agents/li")
    assert (started.effect, started.rule) == (told.ClockRuleApplied.STARTED, f"{PATH}.resolution.start")
    desk.after_an_hour(assignee="")
    assert desk.clocks() == {"RESPONSE 1": ("RUNNING", 2), "RESOLUTION 1": ("RUNNING", 1)}


def test_a_cancelled_clock_is_neither_met_nor_breached_and_stays_so() -> None:
    desk = TicketUnderRules("{response: {cancel: ticket.tier > 1}}")
    [cancelled] = desk.after_an_hour(tier=2)
    assert (cancelled.effect, cancelled.rule) == (told.ClockRuleApplied.CANCELLED, f"{PATH}.response.cancel")
    assert desk.after_an_hour(tier=1) == []
    assert desk.clocks() == {"RESPONSE 1": ("CANCELLED", 1), "RESOLUTION 1": ("RUNNING", 2)}


def test_a_reset_lets_a_clock_begin_anew_each_time_that_its_condition_begins_to_hold() -> None:
    desk = TicketUnderRules("{resolution: {reset: ticket.tier > 1}}")
    [reset] = desk.after_an_hour(tier=2)
    assert (reset.effect, reset.rule) == (told.ClockRuleApplied.RESET, f"{PATH}.resolution.reset")
    assert desk.after_an_hour(tier=3) == []
    assert desk.clocks()["RESOLUTION 1"] == ("RUNNING", 1)
    desk.after_an_hour(tier=1)
    desk.after_an_hour(tier=2)
    assert desk.clocks()["RESOLUTION 1"] == ("RUNNING", 0)


def test_a_reset_moves_the_deadline_and_what_is_due_before_it() -> None:
    desk = TicketUnderRules("{resolution: {reset: ticket.tier > 1}}")
    desk.after_an_hour(tier=2)
    [resolution] = [row for row in desk.ticket.clocks if row.kind == pb.Clock.RESOLUTION]
    assert resolution.due_time == OPENED + timedelta(hours=11)
    assert [step.due_time for step in resolution.open_steps()] == [(OPENED + timedelta(hours=11)).isoformat()]


def test_promises_that_are_made_again_and_again_are_numbered() -> None:
    desk = TicketUnderRules("{}")
    for _ in range(2):
        desk.stop(pb.Clock.PERIODIC_UPDATE)
        desk.begin(pb.Clock.PERIODIC_UPDATE)
        desk.after_an_hour()
    assert [key for key in desk.clocks() if key.startswith("PERIODIC")] == ["PERIODIC_UPDATE 1", "PERIODIC_UPDATE 2"]
    assert (desk.clocks()["PERIODIC_UPDATE 1"], desk.clocks()["PERIODIC_UPDATE 2"]) == (("MET", 1), ("RUNNING", 1))


def test_an_occasion_starts_no_second_clock_while_one_of_its_kind_is_open() -> None:
    desk = TicketUnderRules("{}")
    desk.begin(pb.Clock.NEXT_REPLY)
    desk.after_an_hour()
    desk.begin(pb.Clock.NEXT_REPLY)
    assert desk.clocks()["NEXT_REPLY 1"] == ("RUNNING", 1)
    assert len(desk.clocks()) == 3


def test_an_occasion_passes_where_the_condition_does_not_hold() -> None:
    desk = TicketUnderRules("""{next_reply: {start: 'ticket.priority == "P1"'}}""")
    desk.begin(pb.Clock.NEXT_REPLY)
    assert "NEXT_REPLY 1" not in desk.clocks()


@pytest.mark.parametrize("kind", [pb.Clock.NEXT_REPLY, pb.Clock.PERIODIC_UPDATE])
def test_a_clock_that_starts_while_the_ticket_waits_stands(kind: pb.Clock.Kind.ValueType) -> None:
    desk = TicketUnderRules("{}")
    desk.after_an_hour(**waits("customer"))
    desk.begin(kind)
    desk.after_an_hour()
    assert desk.clocks()[f"{pb.Clock.Kind.Name(kind)} 1"] == ("PAUSED", 0)
