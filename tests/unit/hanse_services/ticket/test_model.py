"""The tables of states and transitions, and what they say where a step is not open."""

from __future__ import annotations

import pytest

from hanse.engagement_states import SEEKING
from hanse.errors import IllegalTransition
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import (
    ENGAGEMENT_TRANSITIONS,
    TICKET_TRANSITIONS,
    Engagement,
    Step,
    StepAction,
    Ticket,
)
from tests.support import OCCUR_TIME

NAME = "units/shanghai/tickets/1"


def test_every_state_of_a_ticket_is_reached_by_a_step() -> None:
    reached = {after for steps in TICKET_TRANSITIONS.values() for after in steps.values()}
    assert reached == set(pb.TicketState.values()) - {pb.TICKET_STATE_UNSPECIFIED}


def test_nothing_leads_out_of_closed() -> None:
    assert [verb for verb, steps in TICKET_TRANSITIONS.items() if pb.CLOSED in steps] == []


def test_nothing_leads_out_of_confirmed() -> None:
    assert [verb for verb, steps in ENGAGEMENT_TRANSITIONS.items() if pb.CONFIRMED in steps] == []


def test_an_engagement_that_seeks_a_provider_can_be_offered_and_withdrawn() -> None:
    for verb in ("OfferEngagement", "WithdrawEngagement"):
        assert set(ENGAGEMENT_TRANSITIONS[verb]) >= SEEKING


def test_a_delivered_engagement_is_not_withdrawn_by_the_home_unit() -> None:
    assert pb.DELIVERED not in ENGAGEMENT_TRANSITIONS["WithdrawEngagement"]


def test_a_step_that_is_not_open_says_which_are() -> None:
    ticket = Ticket(name=NAME, state=pb.RESOLVED)
    with pytest.raises(IllegalTransition) as caught:
        ticket.move("PauseTicket")
    assert caught.value.metadata == {"resource": NAME, "verb": "PauseTicket", "from": "RESOLVED"}
    assert caught.value.hint == "Possible now: CommentTicket, ReopenTicket, CloseTicket."


def test_a_step_that_is_not_open_changes_nothing() -> None:
    engagement = Engagement(name=f"{NAME}/engagements/e1", state=pb.CONFIRMED)
    with pytest.raises(IllegalTransition):
        engagement.move("RejectEngagement")
    assert engagement.state == pb.CONFIRMED


def test_a_step_is_due_from_its_time_on_until_it_is_done() -> None:
    due, later = OCCUR_TIME.isoformat(), OCCUR_TIME.replace(year=2027)
    assert Step(StepAction.WARN, 50, due).is_due(OCCUR_TIME)
    assert not Step(StepAction.WARN, 50, later.isoformat()).is_due(OCCUR_TIME)
    assert not Step(StepAction.WARN, 50, due, done_time=due).is_due(later)
    assert not Step(StepAction.WARN, 50, None).is_due(later)
