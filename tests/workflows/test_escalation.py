"""The `escalation` process against a routing service in memory, in time that skips."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

from hanse.errors import HanseError, PolicyMissing, Unavailable
from hanse_protos.federation.v1 import group_pb2
from hanse_workflows.escalation.types import EscalationState
from hanse_workflows.escalation.workflow import EscalationWorkflow
from hanse_workflows.processes import escalation_of
from tests.workflows.conftest import Stage
from tests.workflows.fakes import FakeEngagement, eventually, settled

PUNCTUAL = timedelta(seconds=1)
CANDIDATES = ["units/munich", "units/porto", "units/hq"]


@pytest.fixture
def engagement(stage: Stage) -> FakeEngagement:
    """An engagement with two candidates and the final owner."""
    engagement = stage.routing.engagements[stage.engagement] = FakeEngagement(CANDIDATES)
    return engagement


async def result_of(stage: Stage) -> object:
    return await stage.result_of(escalation_of(stage.engagement))


async def state_of(stage: Stage) -> EscalationState:
    return await stage.handle(escalation_of(stage.engagement)).query(EscalationWorkflow.state)


async def offers(engagement: FakeEngagement, number: int) -> None:
    await eventually(lambda: len(engagement.offers) == number)


async def test_an_acceptance_ends_it(stage: Stage, engagement: FakeEngagement) -> None:
    async with stage.working():
        await stage.processes.wake(escalation_of(stage.engagement))
        await offers(engagement, 1)
        engagement.answer(group_pb2.ACCEPTED)
        await stage.processes.release(escalation_of(stage.engagement))
        assert await result_of(stage) == {"engagement": stage.engagement, "offers": 1, "expired": 0}


async def test_after_a_refusal_the_next_candidate_is_asked(stage: Stage, engagement: FakeEngagement) -> None:
    async with stage.working():
        await stage.processes.start(escalation_of(stage.engagement))
        await offers(engagement, 1)
        engagement.answer(group_pb2.DECLINED)
        await stage.processes.release(escalation_of(stage.engagement))
        await offers(engagement, 2)
    assert engagement.offers[-1].provider == "units/porto"


async def test_an_offer_expires_within_a_second_of_its_time_and_the_next_candidate_is_asked(
    stage: Stage, engagement: FakeEngagement
) -> None:
    async with stage.working():
        await stage.processes.start(escalation_of(stage.engagement))
        await offers(engagement, 1)
        await stage.environment.sleep(engagement.timeout + PUNCTUAL)
        await offers(engagement, 2)
    [expiration] = engagement.expirations
    assert timedelta() <= expiration.lateness <= PUNCTUAL


async def test_when_nobody_answers_the_final_owner_is_waited_for(stage: Stage, engagement: FakeEngagement) -> None:
    async with stage.working():
        await stage.processes.start(escalation_of(stage.engagement))
        for number in (1, 2):
            await offers(engagement, number)
            await stage.environment.sleep(engagement.timeout + PUNCTUAL)
        await offers(engagement, 3)
        await stage.environment.sleep(timedelta(days=30))
        assert engagement.offers[-1].final
        engagement.answer(group_pb2.ACCEPTED)
        await stage.processes.release(escalation_of(stage.engagement))
        assert await result_of(stage) == {"engagement": stage.engagement, "offers": 3, "expired": 2}


async def test_a_withdrawal_ends_it(stage: Stage, engagement: FakeEngagement) -> None:
    async with stage.working():
        await stage.processes.start(escalation_of(stage.engagement))
        await offers(engagement, 1)
        engagement.withdrawn = True
        await stage.processes.release(escalation_of(stage.engagement))
        assert await result_of(stage) == {"engagement": stage.engagement, "offers": 1, "expired": 0}


async def test_an_acceptance_that_nobody_told_is_found_when_the_offer_ends(
    stage: Stage, engagement: FakeEngagement
) -> None:
    async with stage.working():
        await stage.processes.start(escalation_of(stage.engagement))
        await offers(engagement, 1)
        engagement.answer(group_pb2.ACCEPTED)
        assert await result_of(stage) == {"engagement": stage.engagement, "offers": 1, "expired": 0}


async def test_being_woken_for_nothing_makes_no_second_offer(stage: Stage, engagement: FakeEngagement) -> None:
    async with stage.working():
        for _ in range(3):
            await stage.processes.wake(escalation_of(stage.engagement))
        await eventually(lambda: len(stage.routing.request_ids) >= 2)
        engagement.answer(group_pb2.ACCEPTED)
        await stage.processes.wake(escalation_of(stage.engagement))
        await result_of(stage)
    assert len(engagement.offers) == 1


async def test_people_can_ask_whom_it_waits_for(stage: Stage, engagement: FakeEngagement) -> None:
    async with stage.working():
        await stage.processes.start(escalation_of(stage.engagement))
        await offers(engagement, 1)
        state = await settled(partial(state_of, stage), lambda state: state.offer)
    assert state.engagement == stage.engagement
    assert state.offer is not None
    assert state.offer.provider == "units/munich"


async def test_a_routing_that_is_down_is_asked_again_with_the_same_request(
    stage: Stage, engagement: FakeEngagement
) -> None:
    stage.routing.failures = [Unavailable() for _ in range(3)]
    async with stage.working():
        await stage.processes.start(escalation_of(stage.engagement))
        await stage.environment.sleep(timedelta(minutes=1))
        await offers(engagement, 1)
    assert len(set(stage.routing.request_ids)) == 1


@pytest.mark.parametrize(
    ("failures", "reason"), [([], "RESOURCE_NOT_FOUND"), ([PolicyMissing()], "POLICY_MISSING")], ids=str
)
async def test_what_no_repetition_can_help_ends_it_with_the_reason(
    stage: Stage, failures: list[HanseError], reason: str
) -> None:
    stage.routing.failures = list(failures)
    async with stage.working():
        await stage.processes.start(escalation_of(stage.engagement))
        with pytest.raises(WorkflowFailureError) as failure:
            await result_of(stage)
    assert isinstance(failure.value.cause, ActivityError)
    assert isinstance(failure.value.cause.cause, ApplicationError)
    assert failure.value.cause.cause.type == reason
