"""What a recorded `complaint` process lives through: one function for each way that the times of a complaint can go.

Each takes its process from its start to where its history is worth keeping, in real time, with times of a second.
"""

from __future__ import annotations

from hanse.errors import PolicyMissing, RoleMissing, Unavailable
from hanse_workflows.processes import Process, complaint_of
from tests.replay.scene import FAR_SECONDS, MOST_WAKES, Scene, soon
from tests.workflows.fake_complaints import FakeComplaint


async def nothing_was_due(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint())
    await scene.closed(process)
    return process


async def overdue_at_the_top(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon()}))
    await scene.closed(process)
    return process


async def warned_and_overdue(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"warn": soon(1), "overdue": soon(2)}))
    await scene.closed(process)
    return process


async def went_to_the_next_level(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon()}, levels=[{"overdue": 1}]))
    await scene.closed(process)
    return process


async def went_through_all_levels(scene: Scene) -> Process:
    levels = [{"warn": 0.5, "overdue": 1}, {"warn": 0.5, "overdue": 1}]
    process = await scene.begin_complaint(FakeComplaint({"warn": soon(0.5), "overdue": soon()}, levels=levels))
    await scene.closed(process)
    return process


async def waits_at_the_next_level(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon()}, levels=[{"overdue": FAR_SECONDS}]))
    await scene.asked_about_complaint(2)
    await scene.settled()
    return process


async def answered_at_the_next_level(scene: Scene) -> Process:
    complaint = FakeComplaint({"overdue": soon()}, levels=[{"overdue": 2}])
    process = await scene.begin_complaint(complaint)
    await scene.asked_about_complaint(2)
    complaint.deadlines = {}
    await scene.closed(process)
    return process


async def ended_by_the_starter_at_the_next_level(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon()}, levels=[{"overdue": FAR_SECONDS}]))
    await scene.asked_about_complaint(2)
    await scene.settled()
    await scene.end(process)
    return process


async def began_when_something_was_due(scene: Scene) -> Process:
    due_time = soon(2)
    scene.complaints.complaints[scene.complaint] = FakeComplaint({"overdue": due_time})
    process = complaint_of(scene.complaint)
    await scene.processes.wake(process, due_time)
    await scene.closed(process)
    return process


async def began_with_a_warning(scene: Scene) -> Process:
    due_time = soon(1)
    scene.complaints.complaints[scene.complaint] = FakeComplaint({"warn": due_time, "overdue": soon(3)})
    process = complaint_of(scene.complaint)
    await scene.processes.wake(process, due_time)
    await scene.closed(process)
    return process


async def began_after_everything_was_due(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"warn": soon(-20), "overdue": soon(-10)}))
    await scene.closed(process)
    return process


async def began_late_and_the_next_level_had_its_full_time(scene: Scene) -> Process:
    complaint = FakeComplaint({"warn": soon(-20), "overdue": soon(-10)}, levels=[{"warn": 0.5, "overdue": 1}])
    process = await scene.begin_complaint(complaint)
    await scene.closed(process)
    return process


async def waits_for_its_time(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon(FAR_SECONDS)}))
    await scene.settled()
    return process


async def warned_and_waits(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"warn": soon(), "overdue": soon(FAR_SECONDS)}))
    await scene.asked_about_complaint(2)
    await scene.settled()
    return process


async def warned_and_answered(scene: Scene) -> Process:
    complaint = FakeComplaint({"warn": soon(1), "overdue": soon(2)})
    process = await scene.begin_complaint(complaint)
    await scene.asked_about_complaint(2)
    complaint.deadlines = {}
    await scene.closed(process)
    return process


async def warned_four_times(scene: Scene) -> Process:
    deadlines = {f"warn {number}": soon(number * 0.6) for number in range(1, 5)}
    process = await scene.begin_complaint(FakeComplaint(deadlines | {"overdue": soon(3)}))
    await scene.closed(process)
    return process


async def warned_so_often_that_it_continued(scene: Scene) -> Process:
    deadlines = {f"warn {number}": soon(number * 0.6) for number in range(1, MOST_WAKES)}
    process = await scene.begin_complaint(FakeComplaint(deadlines))
    await scene.closed(process)
    return process


async def two_things_were_due_at_once(scene: Scene) -> Process:
    due_time = soon()
    process = await scene.begin_complaint(FakeComplaint({"warn": due_time, "overdue": due_time}))
    await scene.closed(process)
    return process


async def answered_while_it_waited(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon(FAR_SECONDS)}))
    await scene.settled()
    await scene.end(process)
    return process


async def answered_while_it_asked(scene: Scene) -> Process:
    scene.complaints.gate.clear()
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon(FAR_SECONDS)}))
    await scene.end(process)
    scene.complaints.gate.set()
    return process


async def step_was_skipped_by_hand(scene: Scene) -> Process:
    complaint = FakeComplaint({"warn": soon(1), "overdue": soon(2)})
    process = await scene.begin_complaint(complaint)
    del complaint.deadlines["warn"]
    await scene.closed(process)
    return process


async def paused_by_hand(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"warn": soon(0), "overdue": soon(FAR_SECONDS)}))
    await scene.settled()
    await scene.processes.end(process, "paused")
    return process


async def time_moved_away(scene: Scene) -> Process:
    complaint = FakeComplaint({"overdue": soon(1)})
    process = await scene.begin_complaint(complaint)
    complaint.deadlines = {"overdue": soon(3)}
    await scene.closed(process)
    return process


async def services_clock_was_behind(scene: Scene) -> Process:
    complaint = FakeComplaint({"overdue": soon(0.5)})
    process = await scene.begin_complaint(complaint)
    for seconds in (0.8, 1.1):
        complaint.deadlines = {"overdue": soon(seconds)}
        await scene.settled()
    await scene.closed(process)
    return process


async def service_was_down(scene: Scene) -> Process:
    scene.complaints.failures = [Unavailable(), Unavailable()]
    process = await scene.begin_complaint(FakeComplaint())
    await scene.closed(process)
    return process


async def service_was_down_at_the_time(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"warn": soon(2), "overdue": soon(3)}))
    scene.complaints.failures = [Unavailable(), Unavailable()]
    await scene.closed(process)
    return process


async def service_was_down_at_the_next_level(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon()}, levels=[{"overdue": 2}]))
    await scene.asked_about_complaint(2)
    scene.complaints.failures = [Unavailable()]
    await scene.closed(process)
    return process


async def service_did_not_answer_in_time(scene: Scene) -> Process:
    scene.complaints.gate.clear()
    process = await scene.begin_complaint(FakeComplaint())
    await scene.asked_about_complaint(2)
    scene.complaints.gate.set()
    await scene.closed(process)
    return process


async def complaint_is_missing(scene: Scene) -> Process:
    process = complaint_of(scene.complaint)
    await scene.processes.start(process)
    await scene.closed(process)
    return process


async def complaint_vanished_before_its_time(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"warn": soon(0), "overdue": soon(2)}))
    await scene.settled()
    del scene.complaints.complaints[scene.complaint]
    await scene.closed(process)
    return process


async def was_not_allowed_to_ask(scene: Scene) -> Process:
    scene.complaints.failures = [RoleMissing()]
    process = await scene.begin_complaint(FakeComplaint({"overdue": soon()}))
    await scene.closed(process)
    return process


async def policy_was_gone_at_the_time(scene: Scene) -> Process:
    process = await scene.begin_complaint(FakeComplaint({"warn": soon(0), "overdue": soon(2)}))
    await scene.settled()
    scene.complaints.failures = [PolicyMissing()]
    await scene.closed(process)
    return process
