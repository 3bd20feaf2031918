"""The checker: holds what clients were told against what the databases hold. Pure functions, nothing of Hanse's code.

Each returns problems; an empty list is a pass. `check` is all of them. What is recomputed here (hashes, views, sums) is
computed from the events again, by other code than the product's, so that a defect of the product can't hide itself.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from google.type.money_pb2 import Money

from hanse.names import HEADQUARTERS
from hanse.telling.names import routing_key
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.policy.v1 import policy_pb2
from hanse_protos.settlement.v1 import settlement_pb2
from hanse_protos.ticket.v1 import events_pb2, ticket_pb2
from hanse_services.subscriptions import SUBSCRIPTIONS
from tests.faults.history import Operation, Outcome
from tests.faults.snapshot import FEDERATION, OWN_SCHEMAS, Place, Record, Snapshot, UnitSnapshot
from tests.faults.witness import EFFECTS as WITNESSED_PAYLOADS

WITNESSED = {payload.DESCRIPTOR.name for payload in WITNESSED_PAYLOADS}  # type: ignore[attr-defined]


class What(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    """It was acknowledged, or stands at one end, and is not where it has to be."""
    DOUBLED = "doubled"
    """It is there more than once."""
    PHANTOM = "phantom"
    """It was refused, and is there all the same."""
    ORDER = "out of order"
    """It stands before what came before it."""
    DIFFERENT = "different"
    """Two ends that should be identical are not; a hash does not follow; a view is not the fold of its log."""
    BURIED = "dead letter"
    """A fact could not be applied."""
    UNBALANCED = "unbalanced"
    """The ledgers don't add up."""


class Problem(NamedTuple):
    """One thing that is wrong."""

    what: What
    text: str


Problems = Iterator[Problem]


def check(operations: Sequence[Operation], snapshot: Snapshot) -> list[Problem]:
    """Return everything that is wrong."""
    return [
        *check_commands(operations, snapshot),
        *check_client_order(operations, snapshot),
        *check_chains(snapshot),
        *check_copies(snapshot),
        *check_told(snapshot),
        *check_witness(snapshot),
        *check_views(snapshot),
        *check_engagements(snapshot),
        *check_ledgers(snapshot),
    ]


# Commands.


def check_commands(operations: Iterable[Operation], snapshot: Snapshot) -> Problems:
    """Acknowledged commands are there once, unanswered ones at most once, refused ones not at all."""
    told = {unit: _told_by_request(of_unit) for unit, of_unit in snapshot.units.items()}
    for operation in operations:
        resources = told[operation.unit][operation.request_id, operation.kind]
        stored = operation.request_id in snapshot.units[operation.unit].requests["ticket"]
        yield from _judge(operation, resources, stored)


def _judge(operation: Operation, resources: Sequence[str], stored: bool) -> Problems:
    name = f"{operation.kind} {operation.request_id} of {operation.unit}"
    if len(resources) > 1:
        yield Problem(What.DOUBLED, f"{name} ({operation.outcome}) is in the log {len(resources)} times")
    if operation.outcome is Outcome.OK and not resources:
        yield Problem(What.LOST, f"{name} was acknowledged and is not in the log")
    if operation.outcome is Outcome.OK and resources and not stored and operation.tries:
        yield Problem(What.LOST, f"{name} was acknowledged and its answer is not kept")
    if operation.outcome is Outcome.OK and resources and resources[0] != operation.resource:
        yield Problem(What.DIFFERENT, f"{name} was answered {operation.resource} and is in the log as {resources[0]}")
    if operation.outcome is Outcome.FAILED and resources:
        yield Problem(What.PHANTOM, f"{name} was refused ({operation.reason}) and is in the log")


def _told_by_request(unit: UnitSnapshot) -> dict[tuple[str, str], list[str]]:
    """Return the resources of the facts that each request told in the unit's ticket log, by request id and type."""
    told: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for record in unit.stream("ticket", f"{unit.unit}/streams/ticket"):
        told[_event(record.event).request_id, record.type].append(record.resource)
    return told


def check_client_order(operations: Iterable[Operation], snapshot: Snapshot) -> Problems:
    """A command that was acknowledged before another one on its ticket was sent stands before it in the log."""
    places = {unit: _place_by_request(of_unit) for unit, of_unit in snapshot.units.items()}
    by_ticket = defaultdict(list)
    for operation in operations:
        place = places[operation.unit].get((operation.request_id, operation.kind))
        if operation.outcome is Outcome.OK and place is not None:
            by_ticket[operation.unit, _ticket(operation.resource)].append((operation, place))
    for (_, ticket), done in by_ticket.items():
        for before, place in done:
            for after, later_place in done:
                if before.end_seconds < after.start_seconds and place > later_place:
                    text = f"{after.kind} {after.request_id} stands before {before.kind} {before.request_id}"
                    yield Problem(What.ORDER, f"{ticket}: {text}, which was acknowledged before it was sent")


def _place_by_request(unit: UnitSnapshot) -> dict[tuple[str, str], int]:
    records = unit.stream("ticket", f"{unit.unit}/streams/ticket")
    return {(_event(record.event).request_id, record.type): index for index, record in enumerate(records)}


# Logs.


def check_chains(snapshot: Snapshot) -> Problems:
    """Every record follows from the one before it, every head is its stream's last record, no event comes twice."""
    for unit in snapshot.units.values():
        for (schema, name), records in unit.streams.items():
            place = f"{name} in {unit.unit}"
            yield from _check_chain(place, name, records, unit.head(schema, name))
            for event_id, count in Counter(record.event_id for record in records).items():
                if count > 1:
                    yield Problem(What.DOUBLED, f"{place} has event {event_id} {count} times")


def _check_chain(place: str, name: str, records: Sequence[Record], head: Place) -> Problems:
    previous = Place(records[0].epoch, 0, b"")
    for record in records:
        if record.epoch == previous.epoch and record.sequence != previous.sequence + 1:
            yield Problem(What.LOST, f"{place} goes on at {record.sequence} after {previous.sequence}")
        packed = struct.pack(">iq", record.epoch, record.sequence)
        if sha256(previous.hash + name.encode() + b"\0" + packed + record.event).digest() != record.hash:
            yield Problem(What.DIFFERENT, f"{place} at {record.epoch}/{record.sequence} does not follow")
            return
        previous = Place(record.epoch, record.sequence, record.hash)
    if previous != head:
        yield Problem(What.DIFFERENT, f"{place} ends at {previous.sequence}, and its head says {head.sequence}")


def check_copies(snapshot: Snapshot) -> Problems:
    """Both ends of every link hold the same streams, and neither believes that the other has more than it has."""
    headquarters = snapshot.units[HEADQUARTERS]
    for unit in snapshot.units.values():
        for schema, name in own_streams(unit.unit):
            original, copy = unit.head(schema, name), headquarters.head(FEDERATION, name)
            yield from _same(name, unit.unit, original, copy)
            yield from _same_records(name, unit.stream(schema, name), headquarters.stream(FEDERATION, name))
            yield from _believed(name, unit.acknowledged.get(name), copy)
        name = downstream(unit.unit)
        yield from _same(name, unit.unit, headquarters.head(FEDERATION, name), unit.head(FEDERATION, name))
        for stream in sorted(unit.quarantined):
            yield Problem(What.DIFFERENT, f"{stream} is in quarantine in {unit.unit}")


def _same(name: str, unit: str, original: Place, copy: Place) -> Problems:
    if original != copy:
        what = What.LOST if original[:2] != copy[:2] else What.DIFFERENT
        ends = f"{original.epoch}/{original.sequence} where it is written, {copy.epoch}/{copy.sequence} in its copy"
        yield Problem(what, f"{name} ({unit}) ends at {ends}, hashes {original.hash.hex()[:8]}, {copy.hash.hex()[:8]}")


def _same_records(name: str, original: Sequence[Record], copy: Sequence[Record]) -> Problems:
    ids, copied = [record.event_id for record in original], [record.event_id for record in copy]
    if missing := set(ids) - set(copied):
        yield Problem(What.LOST, f"{len(missing)} events of {name} are not at headquarters, {min(missing)} among them")
    elif ids != copied and not set(copied) - set(ids):
        yield Problem(What.ORDER, f"{name} has its events in another order at headquarters")
    if invented := set(copied) - set(ids):
        yield Problem(What.PHANTOM, f"headquarters has {len(invented)} events of {name} that nobody wrote")


def _believed(name: str, acknowledged: Place | None, copy: Place) -> Problems:
    if acknowledged is not None and acknowledged[:2] > copy[:2]:
        yield Problem(What.LOST, f"{name} was acknowledged up to {acknowledged.sequence}; its copy ends earlier")


def own_streams(unit: str) -> list[tuple[str, str]]:
    """Return the streams that a unit writes and sends: schema and name."""
    return [(schema, f"{unit}/streams/{schema}") for schema in OWN_SCHEMAS]


def downstream(unit: str) -> str:
    """Return headquarters' stream to a unit."""
    return f"{HEADQUARTERS}/streams/to-{unit.removeprefix('units/')}"


# Telling.


def check_told(snapshot: Snapshot) -> Problems:
    """Every fact that a service subscribes to is in its inbox, and none became a dead letter."""
    for unit in snapshot.units.values():
        for source, records in told_in(unit).items() if unit.reacts else ():
            for record in records:
                for subscription in SUBSCRIPTIONS:
                    told = subscription.matches(source, routing_key(record.type))
                    if told and record.event_id not in unit.inbox[subscription.service]:
                        text = f"{subscription.service} of {unit.unit} never took {record.type} {record.event_id}"
                        yield Problem(What.LOST, text)
        for letter in unit.dead_letters:
            yield Problem(What.BURIED, f"{unit.unit}: {letter}")


def told_in(unit: UnitSnapshot) -> dict[str, list[Record]]:
    """Return what the relay of a unit tells on, by source."""
    streams = {schema: unit.stream(schema, name) for schema, name in own_streams(unit.unit)}
    return streams | {FEDERATION: unit.stream(FEDERATION, downstream(unit.unit))}


def check_witness(snapshot: Snapshot) -> Problems:
    """The witness applied every fact about tickets once, and each ticket's in the order of its log."""
    for unit in snapshot.units.values():
        if unit.witnessed is None or not unit.reacts:
            continue
        times = Counter(unit.witnessed)
        order = {event_id: number for number, event_id in enumerate(unit.witnessed)}
        for source in ("ticket", FEDERATION):
            records = [record for record in told_in(unit)[source] if record.type in WITNESSED]
            yield from _check_witnessed(unit.unit, records, times, order)


def _check_witnessed(unit: str, records: Iterable[Record], times: Counter[str], order: dict[str, int]) -> Problems:
    last: dict[str, int] = {}
    for record in records:
        if not times[record.event_id]:
            yield Problem(What.LOST, f"{record.type} {record.event_id} was never told in {unit}")
            continue
        if times[record.event_id] > 1:
            text = f"{record.type} {record.event_id} took effect {times[record.event_id]} times in {unit}"
            yield Problem(What.DOUBLED, text)
        ticket, number = _ticket(record.resource), order[record.event_id]
        if number < last.get(ticket, -1):
            yield Problem(What.ORDER, f"{record.type} {record.event_id} took effect in {unit} after a later fact")
        last[ticket] = max(number, last.get(ticket, -1))


# Views.


def check_views(snapshot: Snapshot) -> Problems:
    """Headquarters' views are the fold of the units' logs."""
    views, units = snapshot.views, snapshot.units.values()
    tickets = {name: (ticket_pb2.TicketSummary.FromString(raw), time) for name, (raw, time) in views.tickets.items()}
    yield from _compare("group_ticket", _fold_tickets(units), tickets)
    yield from _compare("hand_over", Counter(_fold_hand_overs(units)), Counter(views.hand_overs))
    charges = {name: tuple(raw and Money.FromString(raw) for raw in legs) for name, legs in views.charges.items()}
    yield from _compare("group_charge", _fold_charges(units), charges)
    known = dict.fromkeys(views.policy_acknowledgements, True)
    yield from _compare("policy_acknowledgement", dict.fromkeys(_fold_policies(units), True), known)


def _compare(view: str, expected: dict[Any, Any], found: dict[Any, Any]) -> Problems:
    for key in expected.keys() - found.keys():
        yield Problem(What.LOST, f"{view} lacks {key}")
    for key in found.keys() - expected.keys():
        yield Problem(What.PHANTOM, f"{view} has {key}, which no log has")
    for key in expected.keys() & found.keys():
        if expected[key] != found[key]:
            yield Problem(What.DIFFERENT, f"{view} has {key} otherwise than the log")


def _fold_tickets(units: Iterable[UnitSnapshot]) -> dict[str, Any]:
    tickets = {}
    for unit in units:
        for record in unit.stream("ticket", f"{unit.unit}/streams/ticket"):
            if record.type.startswith(("Ticket", "Sla")):
                summary = getattr(_payload(record), "ticket")  # noqa: B009 - every fact on a ticket carries one.
                tickets[summary.name] = (summary, _instant(_event(record.event)))
    return tickets


def _fold_hand_overs(units: Iterable[UnitSnapshot]) -> Iterator[tuple[str, int, int, str, str]]:
    for unit in units:
        for record in unit.stream("ticket", f"{unit.unit}/streams/ticket"):
            if record.type == "TicketHandedOver":
                moved = _payload(record)
                yield (moved.ticket.name, record.epoch, record.sequence, moved.from_unit, moved.to_unit)


def _fold_charges(units: Iterable[UnitSnapshot]) -> dict[str, Any]:
    legs: defaultdict[str, dict[int, Money]] = defaultdict(dict)
    for unit in units:
        for record in unit.stream("settlement", f"{unit.unit}/streams/settlement"):
            if record.type == "ChargePosted":
                charge = _payload(record).charge
                legs[charge.name][charge.leg] = charge.amount
    sides = (settlement_pb2.PAYABLE, settlement_pb2.RECEIVABLE)
    return {name: tuple(amounts.get(side) for side in sides) for name, amounts in legs.items()}


def _fold_policies(units: Iterable[UnitSnapshot]) -> Iterator[tuple[str, int]]:
    for unit in units:
        for record in unit.stream("policy", f"{unit.unit}/streams/policy"):
            if record.type == "PolicyAcknowledged":
                yield (unit.unit, _payload(record).policy.version)


def check_engagements(snapshot: Snapshot) -> Problems:
    """Home, provider and headquarters agree on every engagement that has found its provider."""
    for name, known in snapshot.views.engagements.items():
        if known.state not in ("ACCEPTED", "DELIVERED", "CONFIRMED"):
            continue
        home = "/".join(name.split("/")[:2])
        for unit in {home, known.provider} & snapshot.units.keys():
            row = snapshot.units[unit].engagements.get(name)
            if row is None:
                yield Problem(What.LOST, f"{unit} does not know {name}, {known.state} at headquarters")
            elif row != known:
                yield Problem(What.DIFFERENT, f"{name} is {known} at headquarters and {row} in {unit}")


# Ledgers.


def check_ledgers(snapshot: Snapshot) -> Problems:
    """Debits are credits, every confirmed engagement is posted once at each side, and the sides are the same sum."""
    sums: dict[str, Counter[tuple[str, str, str]]] = {"PAYABLE": Counter(), "RECEIVABLE": Counter()}
    for unit in snapshot.units.values():
        yield from _check_journals(unit)
        for charge in unit.charges:
            sums[charge.leg][charge.home, charge.provider, charge.currency] += charge.amount
    if sums["PAYABLE"] != sums["RECEIVABLE"]:
        yield Problem(What.UNBALANCED, f"units owe {dict(sums['PAYABLE'])} and have earned {dict(sums['RECEIVABLE'])}")
    if (known := _known_sums(snapshot)) != sum(sums["PAYABLE"].values()):
        yield Problem(What.UNBALANCED, f"headquarters knows charges of {known}, the units of {sums['PAYABLE']}")
    yield from _check_posted(snapshot)


def _check_journals(unit: UnitSnapshot) -> Problems:
    differences: Counter[tuple[int, str]] = Counter()
    posted: Counter[tuple[str, str]] = Counter()
    for entry in unit.entries:
        differences[entry.journal, entry.currency] += entry.debit - entry.credit
        posted[entry.charge, entry.leg] += entry.debit
    for (journal, currency), difference in differences.items():
        if difference:
            yield Problem(What.UNBALANCED, f"journal {journal} of {unit.unit} is off by {difference} {currency}")
    charged = {(charge.name, charge.leg): charge.amount for charge in unit.charges}
    if dict(posted) != charged:
        keys = {key for key in posted.keys() | charged.keys() if posted[key] != charged.get(key)}
        yield Problem(What.UNBALANCED, f"{unit.unit} has posted something else than charged: {sorted(keys)[:3]}")


def _known_sums(snapshot: Snapshot) -> int:
    """Return the sum of the charges whose legs both match at headquarters, in minor units of whatever currency."""
    total = 0
    for payable, receivable in snapshot.views.charges.values():
        if payable and payable == receivable:
            amount = Money.FromString(payable)
            total += amount.units * 100 + amount.nanos // 10_000_000
    return total


def _check_posted(snapshot: Snapshot) -> Problems:
    for unit in snapshot.units.values():
        for record in unit.stream("ticket", f"{unit.unit}/streams/ticket"):
            if record.type != "EngagementConfirmed":
                continue
            engagement = _payload(record).engagement
            if engagement.home == engagement.provider:
                continue
            for side, leg in ((engagement.home, "PAYABLE"), (engagement.provider, "RECEIVABLE")):
                if side in snapshot.units and not _has_leg(snapshot.units[side], engagement.name, leg):
                    yield Problem(What.LOST, f"{side} never posted its {leg} of {engagement.name}")


def _has_leg(unit: UnitSnapshot, engagement: str, leg: str) -> bool:
    _, home, _, ticket, _, number = engagement.split("/")
    return any((charge.name, charge.leg) == (f"charges/{home}.{ticket}.{number}", leg) for charge in unit.charges)


# Reading events.


@lru_cache(maxsize=200_000)
def _event(raw: bytes) -> Event:
    return Event.FromString(raw)


def _payload(record: Record) -> Any:
    for module in (events_pb2, settlement_pb2, policy_pb2):
        if record.type in module.DESCRIPTOR.message_types_by_name:
            return getattr(module, record.type).FromString(_event(record.event).payload)
    raise ValueError(f"nobody knows a {record.type}")


def _instant(event: Event) -> datetime:
    time = event.occur_time
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time.seconds, microseconds=time.nanos // 1_000)


def _ticket(resource: str) -> str:
    return resource.split("/engagements/", 1)[0]
