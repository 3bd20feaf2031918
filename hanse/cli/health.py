"""How a group is: its units, links, lags, policy versions, logs and workflows, gathered from the parts themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import grpc
from temporalio.service import RPCError

from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk
from hanse.config import Mode, Settings
from hanse.errors import UnitUnreachable
from hanse.local.group import GroupFolder
from hanse.names import HEADQUARTERS, downstream_name, short_unit
from hanse.temporal import connect
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.log.v1 import log_pb2
from hanse_protos.policy.v1 import policy_pb2
from hanse_protos.telling.v1 import dead_letters_pb2

VERIFY_TIMEOUT_SECONDS = 600.0
ASK_TIMEOUT_SECONDS = 5.0
MAX_COUNTED_LETTERS = 100


@dataclass
class UnitHealth:
    """How one unit is."""

    unit: str
    independent: bool = False
    serving: bool | None = False
    """None where only the unit itself could say."""
    linked: bool = False
    reachable: bool = False
    contact: str = ""
    certificate_until: str = ""
    lag_up: int = 0
    lag_down: int = 0
    policy_version: int = 0
    acknowledged_version: int = 0
    last_error: str = ""
    streams: int = 0
    records: int = 0
    verified_records: int | None = None
    problems: list[str] = field(default_factory=list)
    workflows: int | None = None

    @property
    def green(self) -> bool:
        """Whether nothing is wrong and nothing is behind; an independent unit has nobody to be behind of."""
        if self.independent:
            return bool(self.serving) and not self.problems
        behind = self.lag_up or self.lag_down or self.policy_version != self.acknowledged_version
        return self.serving is not False and self.linked and self.reachable and not behind and not self.problems


async def gather_as(settings: Settings, *, verify: bool) -> list[UnitHealth]:
    """Return how the unit is that these settings name; at headquarters, then how each other unit is as seen from there.

    This is what one place can say of a group in which every unit has machines, keys and databases of its own. With
    `verify` the unit's own logs and copies are recomputed.
    """
    seen = await _headquarters_view(settings) if settings.unit == HEADQUARTERS else {}
    own = await _own_health(settings, seen.pop(settings.unit, None), verify=verify)
    return [own, *(_as_seen(status, own.policy_version) for status in seen.values())]


async def _own_health(settings: Settings, seen: group_pb2.UnitStatus | None, *, verify: bool) -> UnitHealth:
    health = UnitHealth(settings.unit, independent=settings.mode is Mode.INDEPENDENT)
    _take_over(health, seen)
    health.workflows = await _open_workflows(settings)
    try:
        async with Desk(settings, "status") as desk:
            await _ask_unit(desk, health)
            await _look_at_logs(desk, health, verify=verify)
    except grpc.aio.AioRpcError as error:
        health.problems.append(f"does not answer: {error.details()}")
    if seen is None:
        # Only headquarters knows what it has heard; its link says whether it hears this unit.
        health.reachable, health.acknowledged_version = health.linked, health.policy_version
    return health


def _as_seen(status: group_pb2.UnitStatus, current_version: int) -> UnitHealth:
    """Return what headquarters can say of another unit, which should have the policy that is in force there."""
    health = UnitHealth(status.unit, serving=None, policy_version=current_version, lag_up=status.lag)
    _take_over(health, status)
    health.linked = status.reachable
    received = [stream.received.sequence for stream in status.streams]
    health.streams, health.records = len(received), sum(received)
    return health


def _take_over(health: UnitHealth, seen: group_pb2.UnitStatus | None) -> None:
    """Note what headquarters says of a unit."""
    if seen is None:
        return
    health.reachable, health.lag_down = seen.reachable, seen.downstream_lag
    health.acknowledged_version = seen.policy_version
    if seen.HasField("certificate_expire_time"):
        health.certificate_until = seen.certificate_expire_time.ToJsonString()
    health.contact = seen.contact_time.ToJsonString() if seen.HasField("contact_time") else ""
    health.last_error = seen.last_error


async def gather(group: Path, *, verify: bool) -> list[UnitHealth]:
    """Return how each unit of a group is; with `verify`, after recomputing every hash chain at both ends."""
    units = list(GroupFolder(group).read().units)
    seen_by_headquarters = await _headquarters_view(settings_of(group, HEADQUARTERS))
    return [await _unit_health(group, unit, seen_by_headquarters.get(unit), verify=verify) for unit in units]


async def _headquarters_view(settings: Settings) -> dict[str, group_pb2.UnitStatus]:
    try:
        async with Desk(settings, "status") as desk:
            reply = await desk.group.ListUnits(group_pb2.ListUnitsRequest(), timeout=ASK_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError:
        return {}
    return {status.unit: status for status in reply.units}


async def _unit_health(group: Path, unit: str, seen: group_pb2.UnitStatus | None, *, verify: bool) -> UnitHealth:
    settings = settings_of(group, unit)
    health = UnitHealth(unit, independent=settings.mode is Mode.INDEPENDENT)
    _take_over(health, seen)
    health.workflows = await _open_workflows(settings)
    try:
        async with Desk(settings, "status") as desk:
            await _ask_unit(desk, health)
            if health.independent:
                await _look_at_logs(desk, health, verify=verify)
            else:
                await _compare_logs(group, desk, health, seen, verify=verify)
    except grpc.aio.AioRpcError as error:
        health.problems.append(f"does not answer: {error.details()}")
    return health


async def _ask_unit(desk: Desk, health: UnitHealth) -> None:
    await _count_dead_letters(desk, health)
    link = await desk.link.GetLink(group_pb2.GetLinkRequest(), timeout=ASK_TIMEOUT_SECONDS)
    health.serving, health.linked = True, link.connected
    # The unit knows best what of it headquarters has not acknowledged, above all while the line is cut.
    if not health.independent:
        health.lag_up = sum(stream.sequence - stream.acknowledged for stream in link.streams)
    health.last_error = link.last_error or health.last_error
    alarms = await desk.link.ListAlarms(group_pb2.ListAlarmsRequest(), timeout=ASK_TIMEOUT_SECONDS)
    # That a line is down is in the table already.
    health.problems += [_alarm_text(alarm) for alarm in alarms.alarms if alarm.reason != UnitUnreachable.reason]
    try:
        request = policy_pb2.GetPolicyRequest(name="policies/current")
        policy = await desk.policies.GetPolicy(request, timeout=ASK_TIMEOUT_SECONDS)
        health.policy_version = policy.version
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
            raise


async def _look_at_logs(desk: Desk, health: UnitHealth, *, verify: bool) -> None:
    """Count the unit's own streams, and verify them where asked: nobody else has a copy."""
    heads = await _heads(desk)
    health.streams, health.records = len(heads), sum(head.sequence for head in heads.values())
    if verify:
        health.verified_records = 0
        for stream in heads:
            await _verify(health, desk, log_pb2.VerifyStreamRequest(stream=stream))


async def _verify(health: UnitHealth, desk: Desk, request: log_pb2.VerifyStreamRequest) -> None:
    answer = await desk.logs.VerifyStream(request, timeout=VERIFY_TIMEOUT_SECONDS)
    health.verified_records = (health.verified_records or 0) + answer.records
    if not answer.intact:
        health.problems.append(answer.problem)


async def _count_dead_letters(desk: Desk, health: UnitHealth) -> None:
    """Note how many dead letters wait for a person: `MAX_COUNTED_LETTERS` where there are more."""
    request = dead_letters_pb2.ListDeadLettersRequest(parent=f"{health.unit}/services/-", page_size=MAX_COUNTED_LETTERS)
    reply = await desk.dead_letters.ListDeadLetters(request, timeout=ASK_TIMEOUT_SECONDS)
    if count := len(reply.dead_letters):
        more = " or more" if reply.next_page_token else ""
        health.problems.append(
            f"{count}{more} dead letters: `hanse dead-letters list --unit {short_unit(health.unit)}`"
        )


def _alarm_text(alarm: group_pb2.Alarm) -> str:
    since = alarm.since_time.ToJsonString()[:19].replace("T", " ")
    place = f" at {alarm.place.epoch}/{alarm.place.sequence}" if alarm.HasField("place") else ""
    return f"{alarm.reason} {alarm.subject}{place}, since {since} UTC: {alarm.problem}. {alarm.hint}"


async def _compare_logs(
    group: Path, desk: Desk, health: UnitHealth, seen: group_pb2.UnitStatus | None, *, verify: bool
) -> None:
    """Compare the unit's streams with headquarters' copies, and headquarters' stream to it with the unit's copy."""
    async with Desk(settings_of(group, HEADQUARTERS), "status") as headquarters:
        here = await _heads(desk)
        own = [head for name, head in here.items() if name.startswith(f"{health.unit}/")]
        health.streams, health.records = len(own), sum(head.sequence for head in own)
        received = [stream.received for stream in seen.streams] if seen else []
        copies = {head.stream: head for head in received if head.sequence}
        downstream = downstream_name(health.unit)
        pairs = [(desk, headquarters, name, copy) for name, copy in copies.items()]
        if downstream in here:
            pairs.append((headquarters, desk, downstream, here[downstream]))
        if verify:
            health.verified_records = 0
        for writer, reader, stream, copy in pairs:
            await _compare(health, writer, reader, stream, copy, verify=verify)


async def _heads(desk: Desk) -> dict[str, log_pb2.StreamHead]:
    reply = await desk.logs.ListStreams(log_pb2.ListStreamsRequest(), timeout=ASK_TIMEOUT_SECONDS)
    return {head.stream: head for head in reply.streams}


async def _compare(
    health: UnitHealth, writer: Desk, reader: Desk, stream: str, copy: log_pb2.StreamHead, *, verify: bool
) -> None:
    if not verify:
        original = (await _heads(writer)).get(stream)
        if original and original.sequence == copy.sequence and original.hash != copy.hash:
            health.problems.append(f"{stream} differs from its copy")
        return
    request = log_pb2.VerifyStreamRequest(stream=stream, end_sequence=copy.sequence)
    answers = [await desk.logs.VerifyStream(request, timeout=VERIFY_TIMEOUT_SECONDS) for desk in (writer, reader)]
    health.problems += [answer.problem for answer in answers if not answer.intact]
    if answers[0].head.hash != answers[1].head.hash:
        health.problems.append(f"{stream} differs from its copy")
    health.verified_records = (health.verified_records or 0) + answers[1].records


async def _open_workflows(settings: Settings) -> int | None:
    """Return how many workflows are open in the unit's namespace, or None where Temporal does not answer."""
    try:
        client = await connect(settings)
        return (await client.count_workflows("ExecutionStatus = 'Running'")).count
    except (RPCError, RuntimeError):
        return None


def name_of(health: UnitHealth) -> str:
    """Return the unit's short name."""
    return short_unit(health.unit)
