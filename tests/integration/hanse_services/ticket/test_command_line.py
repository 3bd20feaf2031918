"""What a desk's people type about their tickets, teams, customers and promises, and what they read: in one process."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.integration.command_line import CommandLine, Result
from tests.integration.hanse_services.ticket.desk import POLICY_YAML, Desk
from tests.integration.hanse_services.ticket.engaged import engaged_at

HIERARCHY = "hierarchy: [{at_percent: 120, level: DESK_LEAD, acknowledge_within: 30m}]"
DONE, FAILED, MISUSED = 0, 1, 2


@dataclass
class Line:
    """The command line of Shanghai's desk."""

    desk: Desk
    commands: CommandLine

    async def say(self, *commands: str) -> list[Result]:
        """Give commands one after the other."""
        return await self.commands.run_all(*(command.split() for command in commands))


@pytest.fixture
def line(desk: Desk, tmp_path: Path) -> Line:
    return Line(desk, CommandLine(desk.runtime, tmp_path))


def said(result: Result) -> str:
    """Return what a command complained of, as one line, without the box around it."""
    return " ".join(re.sub("[╭╮╰╯│─]", " ", result.complained).split())


async def test_teams_are_set_shown_and_deleted_and_what_is_wrong_is_said_in_words(line: Line) -> None:
    none, pair, one, member, calendar, tier, listed, gone, again = await line.say(
        "team list",
        "team set displays --member li=5 --member wang=3@office --skill display --tier 1 --language zh",
        "team set night --member chen",
        "team set night --member chen=x",
        "team set night --calendar nowhere",
        "team set night --tier 7",
        "team list",
        "team delete night",
        "team delete night",
    )
    assert none.printed.strip() == "Teams of shanghai: none"
    assert [each.printed.strip() for each in (pair, one)] == [
        "units/shanghai/teams/displays has 2 members",
        "units/shanghai/teams/night has 1 member",
    ]
    assert [each.status for each in (pair, member, calendar, tier)] == [DONE, MISUSED, FAILED, MISUSED]
    assert "'chen=x' is no member: write li, li=5 or li=5@night" in said(member)
    assert "the policy in force has no calendar 'nowhere' try Choose one of always, office." in said(calendar)
    assert "'--tier': Input should be less than or equal to 3" in said(tier)
    rows = [row.split(maxsplit=5) for row in listed.printed.splitlines()[2:4]]
    assert [row[0] for row in rows] == ["displays", "night"]
    assert rows[0][-1].strip() == "li=5, wang=3@office"
    assert (gone.printed.strip(), again.status) == ("units/shanghai/teams/night is gone", FAILED)
    assert "RESOURCE_NOT_FOUND" in again.complained


async def test_a_ticket_says_who_has_it_or_that_it_waits_for_somebody(line: Line) -> None:
    _, given, _, waits = await line.say(
        "team set displays --member li=1",
        "ticket open Dark --category display",
        "team set displays --member li=1",
        "ticket open Dark --category display",
    )
    assert "with li (shanghai), team displays" in given.printed
    assert "with team displays, waiting for an agent" in waits.printed


async def test_what_was_told_above_the_desk_is_listed_until_somebody_has_seen_it(line: Line) -> None:
    document = load_yaml(POLICY_YAML + HIERARCHY)
    del document.ladder[:]
    await line.desk.runtime.database.write(
        PolicyStore(SCHEMA).enact, Policy(name="policies/2", version=2, document=document)
    )
    ticket = await line.desk.open()
    line.desk.clock.advance(hours=12, minutes=1)
    await line.desk.evaluate(ticket.name)
    name = f"{ticket.name}/escalations/1"
    listed, nobodys, wrong, seen, empty, everything = await line.say(
        "escalation list",
        f"escalation acknowledge {ticket.name}/escalations/9",
        "escalation acknowledge 1",
        f"escalation acknowledge {name} --as chen",
        "escalation list",
        "escalation list --all",
    )
    row = rf"{name} +desk lead +resolution at 120 % +2026-11-23 20:01:00 +2026-11-23 20:31:00"
    assert re.search(row, listed.printed)
    assert (nobodys.status, "RESOURCE_NOT_FOUND" in nobodys.complained) == (FAILED, True)
    assert wrong.status == MISUSED
    assert "'1' is none: write the full name, units/…/tickets/…/escalations/1" in said(wrong)
    assert seen.printed.strip() == f"{name}: seen by chen (shanghai)"
    assert empty.printed.strip() == "Escalations at shanghai: none"
    assert re.search(rf"{row} +chen \(shanghai\)", everything.printed)


async def test_a_customer_is_put_into_a_class_for_the_tickets_to_come(line: Line) -> None:
    contact = pb.Contact(display_name="Wang", reference="C-1")
    ticket = await line.desk.open(contact=contact)
    name = (await line.desk.get(ticket.name)).customer
    before, put, wrong, unknown, after = await line.say(
        f"customer show {name}",
        f"customer classify {name.rsplit('/', 1)[-1]} vip --as chen",
        f"customer classify {name} king",
        "customer classify nobody VIP",
        f"ticket show {ticket.name}",
    )
    assert before.printed.splitlines() == [f"{name}  1 ticket", "ORDINARY", "Wang", "C-1"]
    assert put.printed.splitlines()[:2] == [f"{name}  1 ticket", "VIP"]
    assert [each.status for each in (put, wrong, unknown)] == [DONE, MISUSED, FAILED]
    assert "king is not a customer's class: ORDINARY, VIP, VVIP, PROSPECTIVE" in said(wrong)
    # It was opened before.
    assert "VIP" not in after.printed


async def test_an_engagement_is_recalled_or_reassigned_while_somebody_has_it(line: Line) -> None:
    recalled, moved, final = [await engaged_at(line.desk, pb.ACCEPTED, final=final) for final in (False, False, True)]
    taken_back, again, another, refused, wrong, silent = await line.say(
        f"engagement recall {recalled.name} sent-in",
        f"engagement recall {recalled.name} sent-in",
        f"engagement reassign {moved.name} no-news",
        f"engagement reassign {final.name} no-news",
        "engagement reassign e1 no-news",
        f"engagement reassign {moved.name}",
    )
    assert taken_back.printed.splitlines()[0] == f"{recalled.name}  WITHDRAWN"
    assert "stands until" not in taken_back.printed
    assert (again.status, "ILLEGAL_TRANSITION" in again.complained) == (FAILED, True)
    assert another.printed.splitlines()[0] == f"{moved.name}  REQUESTED"
    assert "is the final owner" in refused.complained
    assert "Recall it, and solve the ticket yourself" in refused.complained
    assert "'e1' is none: write the full name, units/…/tickets/…/engagements/e1" in said(wrong)
    assert (silent.status, "Missing argument" in said(silent)) == (MISUSED, True)


async def test_a_ticket_s_clocks_are_explained_with_the_day_where_it_changes(line: Line) -> None:
    ticket = await line.desk.open()
    await line.desk.do("CommentTicket", ticket.name, public=True)
    line.desk.clock.advance(days=1)
    await line.desk.evaluate(ticket.name)
    shown, program, unknown, nothing = await line.say(
        f"ticket explain {ticket.name}",
        f"ticket explain {ticket.name} --json",
        f"ticket explain {ticket.name} --policy 9",
        "ticket explain nothing",
    )
    assert re.search(r"08:00:00 +18:00:00 +shanghai +always +10:00:00 +the customer got an answer", shown.printed)
    assert re.search(r"response: met, 0:00:00 of 1:00:00, stopped 2026-11-23 08:00:00\n", shown.printed)
    assert re.search(r"resolution: breached, 24:00:00 of 10:00:00, ran out 2026-11-23 18:00:00\n", shown.printed)
    assert json.loads(program.printed)["agrees"]
    assert [each.status for each in (shown, unknown, nothing)] == [DONE, FAILED, FAILED]
    assert "This unit has never had policies/9 in force" in unknown.complained


async def test_attainment_is_counted_by_what_was_asked_for(line: Line) -> None:
    ticket = await line.desk.open()
    await line.desk.do("CommentTicket", ticket.name, public=True)
    line.desk.clock.advance(hours=11)
    await line.desk.evaluate(ticket.name)
    by_kind, by_others, program, none, wrong, backwards, complaints = await line.say(
        "attainment",
        "attainment --by tier --by policy-version --by towards",
        "attainment --json",
        "attainment --since 2030-01-01",
        "attainment --by moon",
        "attainment --since 2026-11-24 --until 2026-11-23",
        "attainment --complaints --by kind",
    )
    rows = [row.split() for row in by_kind.printed.splitlines()[2:5]]
    assert [row[:5] for row in rows] == [
        ["resolution", "0", "1", "0.0", "%"],
        ["response", "1", "0", "100.0", "%"],
        ["all", "1", "1", "50.0", "%"],
    ]
    assert by_others.printed.splitlines()[1].split()[:4] == ["tier", "policy", "version", "towards"]
    assert json.loads(program.printed)["total"]["attained_percent"] == 50.0
    assert none.printed.splitlines()[-1].split()[:4] == ["all", "0", "0", "–"]
    assert [each.status for each in (wrong, backwards, complaints)] == [MISUSED] * 3
    assert "moon is none of unit, kind, tier" in said(wrong)
    assert "--until is not after --since: nothing would be counted" in said(backwards)
    assert "complaints are counted by unit and level: leave --by out" in said(complaints)
