"""What a what-if says of the group's log agrees with a plain computation, and it touches nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.log.events import Origin, new_event
from hanse.policy import load_yaml
from hanse.times import timestamp
from hanse_federation.headquarters.views import list_units
from hanse_federation.headquarters.what_if import compare_policy
from hanse_protos.federation.v1 import what_if_pb2 as pb
from hanse_protos.federation.v1.group_pb2 import ListUnitsRequest
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, Policy, PolicyDocument
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from hanse_services.ticket.clocks.judging import judge
from tests.integration.hanse_federation.group import Group, Unit, eventually, summary
from tests.plain_policy import Office, Outcome, PlainPolicy, PlainTicket, Routing, Row, Rung, Telling, write_into
from tests.support import POLICY_YAML

HQ, MUNICH, SHANGHAI = "units/hq", "units/munich", "units/shanghai"
ZONES = {HQ: "Etc/UTC", MUNICH: "Europe/Berlin", SHANGHAI: "Asia/Shanghai"}
OFFICES = {unit: Office(ZoneInfo(zone)) for unit, zone in ZONES.items()}
MARCH = datetime(2026, 3, 2, tzinfo=UTC)
"""The tickets are of March, in which the clocks of Europe change."""
RESPONSE = timedelta(hours=1)
TICKETS = 60
"""How many are opened in each unit."""

BEFORE = PlainPolicy(
    timedelta(hours=10),
    OFFICES,
    [Rung(10, 1), Rung(30, 2), Rung(60, 3, asks=True)],
    [Telling(50, "DESK_LEAD", 1)],
    Routing([HQ, MUNICH, SHANGHAI], HQ),
)
AFTER = replace(
    BEFORE,
    rungs=[Rung(25, 1), Rung(30, 2), Rung(60, 3, asks=True), Rung(90, 2, asks=True)],
    tellings=[Telling(80, "DESK_LEAD", 2), Telling(150, "UNIT_MANAGER", 1)],
    routing=Routing([MUNICH, SHANGHAI], HQ, "urgent", [MUNICH, SHANGHAI], ["P1"], 3, skips_former_holders=True),
)


def document(plain: PlainPolicy) -> PolicyDocument:
    """Return plain rules as a document."""
    found = load_yaml(POLICY_YAML)
    del found.calendars[:]
    days = [1, 2, 3, 4, 5]
    for profile in found.units:
        profile.calendar = profile.unit.removeprefix("units/")
        calendar = found.calendars.add(id=profile.calendar, time_zone=ZONES[profile.unit])
        calendar.shifts.add(days=days, start="08:00", end="17:00")
    write_into(found, plain)
    return found


@dataclass
class Made:
    """A ticket that is made up: how it stood, row by row."""

    name: str
    priority: str
    rows: Sequence[Row]

    @property
    def home(self) -> str:
        return self.rows[0].holder

    def outcome(self, plain: PlainPolicy) -> Outcome:
        return PlainTicket(plain, self.home, self.priority, self.rows).outcome(datetime.now(UTC))

    def facts(self, noise: Random) -> Iterator[tuple[datetime, str, Message]]:
        """Yield what its home's log says of it: when, by whom, and what. What the ladder did is for a what-if noise."""
        agent, before = f"{self.home}/agents/li", self.rows[0]
        yield before.at, agent, told.TicketOpened(ticket=self._summary(before))
        for row in self.rows[1:]:
            now = self._summary(row)
            if noise.random() < 0.3:
                yield row.at, f"{self.home}/services/sla", told.TicketEscalated(ticket=self._summary(row, tier=3))
            if row.holder != before.holder:
                yield row.at, agent, told.TicketHandedOver(ticket=now, from_unit=before.holder, to_unit=row.holder)
            if row.tier > before.tier:
                yield row.at, agent, told.TicketEscalated(ticket=now, from_tier=before.tier)
            if row.counts and not before.counts:
                yield row.at, agent, told.TicketResumed(ticket=now)
            elif before.counts and not row.counts:
                yield row.at, agent, told.TicketPaused(ticket=now, waiting_for="user")
            before = row
        if not before.counts:
            yield before.at, agent, told.TicketResolved(ticket=self._summary(before))

    def _summary(self, row: Row, **fields: Any) -> ticket.TicketSummary:
        values = {"priority": ticket.Priority.Value(self.priority), "tier": row.tier, "holder": row.holder} | fields
        return summary(self.name, open_time=self.rows[0].at, **values)


def made_up(home: str, chance: Random) -> list[Made]:
    """Make up tickets that go to and fro, wait, climb, and end or don't."""
    made = []
    for number in range(TICKETS):
        at, tier = MARCH + timedelta(hours=12 * number), chance.choice((1, 1, 2, 3))
        rows = [Row(at, home, tier, counts=True)]
        for _ in range(chance.randint(0, 7)):
            at += timedelta(minutes=chance.randint(1, 1_500))
            tier = min(3, tier + chance.choice((0, 0, 0, 1)))
            rows.append(Row(at, chance.choice((home, home, *ZONES)), tier, chance.random() < 0.7))
        made.append(Made(f"{home}/tickets/t{number}", chance.choice(("P1", "P2")), rows))
    return made


@pytest.fixture
async def made(group: Group, munich: Unit, shanghai: Unit) -> list[Made]:
    """The tickets of two units, all of which headquarters has, opened under `BEFORE`."""
    await group.enact(Policy(name="policies/1", version=1, document=document(BEFORE)))
    everything, noise = [], Random(5)  # noqa: S311 - A fixed seed repeats.
    for unit in (munich, shanghai):
        tickets = made_up(unit.name, noise)
        facts = [(*fact, each.name) for each in tickets for fact in each.facts(noise)]
        await unit.append(
            [
                new_event(Origin(unit.name, actor, policy_version=1), name, payload, at)
                for at, actor, payload, name in sorted(facts, key=lambda fact: fact[0])
            ]
        )
        await unit.caught_up()
        everything += tickets
    return everything


async def asked(group: Group, **fields: Any) -> tuple[dict[str, pb.WhatIfSummary], list[pb.WhatIfDifference]]:
    """Ask what `AFTER` would have made of the log: by unit, and of which tickets something else."""
    request = pb.ComparePolicyRequest(document=document(AFTER), **fields)
    news = [each async for each in compare_policy(group.hq.database, request, judge)]
    differences = [each.difference for each in news if each.HasField("difference")]
    return {each.summary.unit: each.summary for each in news if each.HasField("summary")}, differences


def counted(tickets: Sequence[Made], plain: PlainPolicy) -> pb.WhatIfCount:
    """Count what comes of tickets, plainly. Nobody answers, so a solution is the first answer."""
    outcomes = [each.outcome(plain) for each in tickets]
    return pb.WhatIfCount(
        response_breaches=sum(each.outcome(replace(plain, target=RESPONSE)).late for each in tickets),
        resolution_breaches=sum(each.late for each in outcomes),
        climbs=sum(each.climbs for each in outcomes),
        engagements=sum(bool(each.asked) for each in outcomes),
        tickets_told_above=sum(bool(each.told) for each in outcomes),
    )


EVERY_WAY_TO_ASK = {
    (False, False, False), (True, False, False), (True, True, False), (True, False, True),
}  # fmt: skip
"""Nobody, a unit, a shared desk, the final owner."""


async def test_each_units_breaches_climbs_tellings_and_who_is_asked_agree_with_a_plain_count(
    group: Group, made: list[Made]
) -> None:
    summaries, differences = await asked(group)
    outcomes = {each.name: (each.outcome(BEFORE), each.outcome(AFTER)) for each in made}
    differing = {name for name, (before, after) in outcomes.items() if before != after}
    rerouted = Counter(
        each.home
        for each in made
        for before, after in [outcomes[each.name]]
        if before.asked and after.asked and (before.asked, before.desk) != (after.asked, after.desk)
    )
    for unit in (MUNICH, SHANGHAI):
        own = [each for each in made if each.home == unit]
        found = summaries[unit]
        assert (found.before, found.after) == (counted(own, BEFORE), counted(own, AFTER))
        assert (found.tickets, found.unknown, found.rerouted) == (TICKETS, 0, rerouted[unit])
        assert found.different == len(differing & {each.name for each in own})
    afterwards = [after for _, after in outcomes.values()]
    assert {(bool(each.asked), bool(each.desk), each.final) for each in afterwards} == EVERY_WAY_TO_ASK
    assert set(rerouted) == {MUNICH, SHANGHAI} and 0 < len(differing) < len(made)
    assert {each.ticket for each in differences} == differing
    for each in differences:
        assert [said(each.before), said(each.after)] == [replace(it, climbs=0) for it in outcomes[each.ticket]]


def said(verdict: pb.WhatIfVerdict) -> Outcome:
    """Return a verdict in the words of the plain computation; it does not say how often the ladder climbed."""
    levels = [HierarchyStep.Level.Name(level) for level in verdict.levels]
    late, units = verdict.resolution_breached, list(verdict.asked_units)
    return Outcome(verdict.tier, late, 0, levels, units, verdict.desk, verdict.final)


async def test_only_tickets_of_one_home_and_opened_since_an_instant_are_judged(group: Group, made: list[Made]) -> None:
    since = MARCH + timedelta(hours=12 * 20)
    chosen = [each for each in made if each.rows[0].at >= since]
    recent, _ = await asked(group, since=timestamp(since))
    assert {unit: found.after for unit, found in recent.items() if found.tickets} == {
        unit: counted([each for each in chosen if each.home == unit], AFTER) for unit in (MUNICH, SHANGHAI)
    }
    of_munich, differences = await asked(group, since=timestamp(since), unit=MUNICH)
    assert list(of_munich) == [MUNICH]
    assert of_munich[MUNICH] == recent[MUNICH]
    assert {each.ticket.rpartition("/tickets/")[0] for each in differences} == {MUNICH}


async def test_a_what_if_touches_nothing(group: Group, made: list[Made], munich: Unit, shanghai: Unit) -> None:
    for unit in (munich, shanghai):
        await unit.stop()

    async def left_alone() -> bool:
        answer = await group.hq.database.read(list_units, ListUnitsRequest())
        return not any(status.reachable for status in answer.units)

    await eventually(left_alone)
    databases = [unit.runtime.database for unit in (munich, shanghai)] + [group.hq.database]
    before = [await database.read(everything_in) for database in databases]
    _, differences = await asked(group)
    assert differences
    assert [await database.read(everything_in) for database in databases] == before


def everything_in(session: Session) -> dict[str, list[str]]:
    """Return every row of every table of a database, the heads of its logs among them."""
    tables = text(
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"
    )
    names = session.scalars(tables).all()
    found = {
        name: list(session.scalars(text(f"SELECT t::text FROM {name} AS t ORDER BY 1")))  # noqa: S608 - The database's own.
        for name in names
    }
    assert any(found[name] for name in names if name.endswith(".log_head"))
    return found
