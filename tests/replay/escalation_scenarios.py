"""What a recorded `escalation` process lives through: one function for each way that finding a provider can go.

Each takes its process from its start to where its history is worth keeping, in real time, with offers of a second.
"""

from __future__ import annotations

from datetime import timedelta

from hanse.errors import PolicyMissing, RoleMissing, Unavailable
from hanse_protos.federation.v1 import group_pb2
from hanse_workflows.processes import Process, escalation_of
from tests.replay.scene import MOST_WAKES, Scene
from tests.workflows.fakes import FakeEngagement, eventually


async def made(engagement: FakeEngagement, offers: int) -> None:
    """Return when so many offers have been made."""
    await eventually(lambda: len(engagement.offers) >= offers)


async def accepted_now(scene: Scene, process: Process, engagement: FakeEngagement) -> None:
    """Let the standing offer be accepted, and the process end."""
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)


async def accepted(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.timeout = timedelta(days=1)
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def declined_and_accepted(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/hq")
    engagement.answer(group_pb2.DECLINED)
    await scene.processes.wake(process)
    await eventually(lambda: len(engagement.offers) == 2)
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def expired_and_accepted(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/hq")
    await eventually(lambda: len(engagement.offers) == 2)
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def nobody_but_the_final_owner(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/hq")
    await eventually(lambda: len(engagement.offers) == 3)
    await scene.settled()
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def withdrawn(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.withdrawn = True
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def settled_before_it_asked(scene: Scene) -> Process:
    scene.routing.engagements[scene.engagement] = FakeEngagement(["units/hq"], withdrawn=True)
    process = escalation_of(scene.engagement)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def acceptance_met_the_expiry(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.answer(group_pb2.ACCEPTED)
    await scene.closed(process)
    return process


async def woken_for_nothing(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/hq")
    for _ in range(2):
        await scene.processes.wake(process)
        await scene.settled()
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def engagement_is_missing(scene: Scene) -> Process:
    process = escalation_of(scene.engagement)
    await scene.processes.start(process)
    await scene.closed(process)
    return process


async def no_policy_in_force(scene: Scene) -> Process:
    scene.routing.failures = [PolicyMissing()]
    return await engagement_is_missing(scene)


async def routing_was_down(scene: Scene) -> Process:
    scene.routing.failures = [Unavailable()]
    return await settled_before_it_asked(scene)


async def waits_for_the_final_owner(scene: Scene) -> Process:
    process, _engagement = await scene.begin_escalation("units/hq")
    await scene.settled()
    return process


async def woken_so_often_that_it_continued(scene: Scene) -> Process:
    process, _engagement = await scene.begin_escalation("units/hq")
    for times in range(2, MOST_WAKES):
        await scene.processes.wake(process)
        await eventually(lambda: len(scene.routing.request_ids) >= times)  # noqa: B023 - it is awaited at once.
    return process


async def accepted_by_the_final_owner_at_once(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/hq")
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def declined_by_all_but_the_final_owner(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/shanghai", "units/hq")
    for offers in range(2, 5):
        engagement.answer(group_pb2.DECLINED)
        await scene.processes.wake(process)
        await made(engagement, offers)
    await accepted_now(scene, process, engagement)
    return process


async def declined_and_expired_and_accepted(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/shanghai", "units/hq")
    engagement.answer(group_pb2.DECLINED)
    await scene.processes.wake(process)
    await made(engagement, 3)
    await accepted_now(scene, process, engagement)
    return process


async def expired_and_declined_and_accepted(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/hq")
    await made(engagement, 2)
    engagement.answer(group_pb2.DECLINED)
    await scene.processes.wake(process)
    await made(engagement, 3)
    await accepted_now(scene, process, engagement)
    return process


async def asked_twice_in_two_rounds(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/munich", "units/hq")
    await made(engagement, 3)
    await accepted_now(scene, process, engagement)
    return process


async def withdrawn_after_a_decline(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.answer(group_pb2.DECLINED)
    engagement.withdrawn = True
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def withdrawn_while_the_final_owner_was_asked(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    await made(engagement, 2)
    await scene.settled()
    engagement.withdrawn = True
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def withdrawal_met_the_expiry(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.withdrawn = True
    await scene.closed(process)
    return process


async def decline_met_the_expiry(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.answer(group_pb2.DECLINED)
    await made(engagement, 2)
    await accepted_now(scene, process, engagement)
    return process


async def offer_was_skipped_by_hand(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.answer(group_pb2.EXPIRED)
    await scene.processes.wake(process)
    await made(engagement, 2)
    await accepted_now(scene, process, engagement)
    return process


async def woken_for_nothing_while_a_candidate_was_asked(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    await scene.processes.wake(process)
    await made(engagement, 2)
    await accepted_now(scene, process, engagement)
    return process


async def paused_by_hand(scene: Scene) -> Process:
    process, _engagement = await scene.begin_escalation("units/hq")
    await scene.settled()
    await scene.end(process)
    return process


async def routing_was_down_at_the_expiry(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    scene.routing.failures = [Unavailable(), Unavailable()]
    await made(engagement, 2)
    await accepted_now(scene, process, engagement)
    return process


async def routing_was_down_after_a_decline(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    scene.routing.failures = [Unavailable()]
    engagement.answer(group_pb2.DECLINED)
    await scene.processes.wake(process)
    await made(engagement, 2)
    await accepted_now(scene, process, engagement)
    return process


async def engagement_vanished_before_the_expiry(scene: Scene) -> Process:
    process, _engagement = await scene.begin_escalation("units/munich", "units/hq")
    await scene.settled()
    del scene.routing.engagements[scene.engagement]
    await scene.closed(process)
    return process


async def policy_was_gone_after_a_decline(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    scene.routing.failures = [PolicyMissing()]
    engagement.answer(group_pb2.DECLINED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def was_not_allowed_to_ask_for_an_offer(scene: Scene) -> Process:
    scene.routing.failures = [RoleMissing()]
    return await engagement_is_missing(scene)


async def expired_so_often_that_it_continued(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation(*["units/munich"] * 12, "units/hq")
    await scene.closed(process)
    engagement.withdrawn = True
    return process
