"""What the databases hold when everything is quiet: the other side of every check.

Everything is read by plain SQL, and none of it by the code that is under test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.faults import witness

OWN_SCHEMAS = ("ticket", "knowledge", "settlement", "policy")
"""The schemas whose streams a unit writes and sends."""
FEDERATION = "federation"


class Record(NamedTuple):
    """A record of a stream."""

    epoch: int
    sequence: int
    hash: bytes
    event_id: str
    resource: str
    type: str
    """The short one, "TicketOpened"."""
    event: bytes


class Place(NamedTuple):
    """Where a stream ends."""

    epoch: int
    sequence: int
    hash: bytes


NOWHERE = Place(1, 0, b"")
"""Where a stream ends that nobody has written to."""


class LedgerEntry(NamedTuple):
    """A line of a journal, with the leg of the charge that it posts."""

    journal: int
    charge: str
    leg: str
    account: str
    currency: str
    debit: int
    credit: int


class ChargeLeg(NamedTuple):
    """A unit's leg of a charge."""

    name: str
    leg: str
    home: str
    provider: str
    currency: str
    amount: int


class EngagementRow(NamedTuple):
    """An engagement, as somebody knows it."""

    state: str
    provider: str


@dataclass
class UnitSnapshot:
    """What one unit's database holds. Streams are by schema and name."""

    unit: str
    reacts: bool = True
    """Whether its relay and its reactions run, so that what is told there has to take effect."""
    streams: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    heads: dict[tuple[str, str], Place] = field(default_factory=dict)
    inbox: dict[str, set[str]] = field(default_factory=dict)
    """By schema, the ids of the events that it has applied."""
    requests: dict[str, set[str]] = field(default_factory=dict)
    """By schema, the ids of the requests whose answers it has stored."""
    dead_letters: list[str] = field(default_factory=list)
    witnessed: list[str] | None = None
    """The ids of the events that the witness was told, in the order in which it applied them; None without one."""
    tickets: set[str] = field(default_factory=set)
    engagements: dict[str, EngagementRow] = field(default_factory=dict)
    charges: list[ChargeLeg] = field(default_factory=list)
    entries: list[LedgerEntry] = field(default_factory=list)
    acknowledged: dict[str, Place] = field(default_factory=dict)
    """By stream, how far this end's status says that the other end has it; without hashes."""
    quarantined: set[str] = field(default_factory=set)

    def stream(self, schema: str, name: str) -> list[Record]:
        """Return the records of a stream, in order."""
        return self.streams.get((schema, name), [])

    def head(self, schema: str, name: str) -> Place:
        """Return where a stream ends."""
        return self.heads.get((schema, name), NOWHERE)


@dataclass
class GroupViews:
    """What headquarters makes of everything."""

    tickets: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    """The summary and the time of the last event."""
    hand_overs: list[tuple[str, int, int, str, str]] = field(default_factory=list)
    charges: dict[str, tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    """Both legs' amounts, payable and receivable."""
    policy_acknowledgements: set[tuple[str, int]] = field(default_factory=set)
    engagements: dict[str, EngagementRow] = field(default_factory=dict)


@dataclass
class Snapshot:
    """What the whole group holds."""

    units: dict[str, UnitSnapshot]
    views: GroupViews


def take_snapshot(database_urls: Mapping[str, str], headquarters: str) -> Snapshot:
    """Read the databases of a quiet group, headquarters' among them."""
    units = {unit: _read_unit(unit, url) for unit, url in database_urls.items()}
    with psycopg.connect(database_urls[headquarters]) as connection:
        return Snapshot(units, _read_views(connection, list(units)))


def _read_unit(unit: str, url: str) -> UnitSnapshot:
    snapshot = UnitSnapshot(unit)
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for schema in (*OWN_SCHEMAS, FEDERATION):
            _read_log(connection, snapshot, schema)
            snapshot.inbox[schema] = _texts(connection, "SELECT event_id::text FROM {schema}.inbox", schema)
            snapshot.requests[schema] = _texts(connection, "SELECT request_id::text FROM {schema}.request", schema)
            query = "SELECT event_id::text || ' ' || reaction || ': ' || left(error, 200) FROM {schema}.dead_letter"
            snapshot.dead_letters += _texts(connection, query, schema)
        _read_state(connection, snapshot)
        [has_witness] = _texts(connection, "SELECT to_regclass('{schema}.effect') IS NOT NULL", witness.SCHEMA.name)
        if has_witness:
            rows = connection.execute(_in(witness.SCHEMA.name, "SELECT event_id FROM {schema}.effect ORDER BY number"))
            snapshot.witnessed = [event_id for [event_id] in rows]
    return snapshot


def _read_log(connection: psycopg.Connection[Any], snapshot: UnitSnapshot, schema: str) -> None:
    records = defaultdict(list)
    query = (
        "SELECT stream, epoch, sequence, hash, event_id::text, resource, type, event FROM {schema}.log_record"
        " ORDER BY stream, epoch, sequence"
    )
    rows = connection.execute(_in(schema, query))
    for stream, epoch, sequence, digest, event_id, resource, kind, event in rows:
        short = kind.rsplit(".", 1)[-1]
        records[schema, stream].append(Record(epoch, sequence, digest, event_id, resource, short, event))
    snapshot.streams.update(records)
    heads = connection.execute(_in(schema, "SELECT stream, epoch, sequence, hash FROM {schema}.log_head"))
    for stream, epoch, sequence, digest in heads:
        snapshot.heads[schema, stream] = Place(epoch, sequence, digest)


def _read_state(connection: psycopg.Connection[Any], snapshot: UnitSnapshot) -> None:
    snapshot.tickets = _texts(connection, "SELECT name FROM ticket.ticket")
    for name, state, provider in connection.execute("SELECT name, state, provider FROM ticket.engagement"):
        snapshot.engagements[name] = EngagementRow(str(state), provider)
    charges = connection.execute("SELECT name, leg, home, provider, currency, amount FROM settlement.charge")
    snapshot.charges = [ChargeLeg(*row) for row in charges]
    entries = connection.execute(
        "SELECT journal, charge, leg, account, currency, debit, credit"
        " FROM settlement.entry JOIN settlement.journal ON number = journal ORDER BY journal, line"
    )
    snapshot.entries = [LedgerEntry(*row) for row in entries]
    cursors = connection.execute(
        "SELECT stream, epoch, sequence FROM federation.log_cursor WHERE follower = 'link'"
    ).fetchall()
    snapshot.acknowledged = {stream: Place(epoch, sequence, b"") for stream, epoch, sequence in cursors}
    snapshot.quarantined = _texts(connection, "SELECT stream FROM federation.quarantine")


def _read_views(connection: psycopg.Connection[Any], units: Sequence[str]) -> GroupViews:
    """Read the views, of what concerns some units."""
    views = GroupViews()
    cursor = connection.cursor(row_factory=dict_row)
    for row in cursor.execute(
        "SELECT name, summary, update_time FROM federation.group_ticket WHERE home = ANY(%s)", [units]
    ):
        views.tickets[row["name"]] = (row["summary"], row["update_time"])
    for row in cursor.execute("SELECT * FROM federation.hand_over WHERE home = ANY(%s)", [units]):
        place = (row["ticket"], row["epoch"], row["sequence"], row["from_unit"], row["to_unit"])
        views.hand_overs.append(place)
    query = (
        "SELECT name, payable, receivable FROM federation.group_charge WHERE home = ANY(%(units)s)"
        " OR provider = ANY(%(units)s)"
    )
    for row in cursor.execute(query, {"units": units}):
        views.charges[row["name"]] = (row["payable"], row["receivable"])
    for row in cursor.execute(
        "SELECT unit, version FROM federation.policy_acknowledgement WHERE unit = ANY(%s)", [units]
    ):
        views.policy_acknowledgements.add((row["unit"], row["version"]))
    for row in cursor.execute(
        "SELECT name, state, provider FROM federation.group_engagement WHERE home = ANY(%s)", [units]
    ):
        views.engagements[row["name"]] = EngagementRow(str(row["state"]), row["provider"])
    return views


def _texts(connection: psycopg.Connection[Any], query: str, schema: str = "") -> set[Any]:
    return {value for [value] in connection.execute(_in(schema, query) if schema else query)}


def _in(schema: str, query: str) -> sql.Composed:
    return sql.SQL(query).format(schema=sql.Identifier(schema))
