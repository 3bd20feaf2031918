"""What waits for an agent is given out when a shift begins, by the rules of what comes in then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from hanse.identity import Role
from hanse.policy import load_override_yaml, load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import timestamp
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride
from hanse_protos.ticket.v1 import team_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.service_pb2 import HistoricChange, HistoricTicket
from hanse_protos.ticket.v1.team_pb2_grpc import TeamServiceStub
from hanse_services.ticket import shifts
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import MONDAY, POLICY_YAML, Desk, new_request_id, refused
from tests.integration.hanse_services.ticket.engaged import engaged_at
from tests.integration.hanse_services.ticket.test_repair import repaired
from tests.integration.hanse_services.ticket.test_teams import given, set_team

EVENING, OPENS = MONDAY + timedelta(hours=9), MONDAY + timedelta(days=1)
"""18:00 in Munich, when its office is closed, and 09:00 on the next day."""
SHIFTS_YAML = POLICY_YAML.replace(
    "units:\n",
    """
  - {id: early, time_zone: Europe/Berlin, shifts: [{days: MON-FRI, start: "06:00", end: "14:00"}]}
  - {id: late, time_zone: Europe/Berlin, shifts: [{days: MON-FRI, start: "14:00", end: "22:00"}]}
  - id: bavaria
    time_zone: Europe/Berlin
    holiday_country: DE
    holiday_subdivision: BY
    shifts: [{days: MON-FRI, start: "09:00", end: "17:00"}]
units:
""",
    1,
)


async def enact(desk: Desk, text: str, version: int = 2) -> None:
    policy = Policy(name=f"policies/{version}", version=version, document=load_yaml(text))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)


async def tune(desk: Desk, version: int, text: str) -> None:
    override = PolicyOverride(unit=desk.unit, version=version, document=load_override_yaml(text))
    await desk.runtime.database.write(PolicyStore(SCHEMA).tune, override)


def teams_of(desk: Desk) -> Any:
    return TeamServiceStub(desk.caller.channel(Role.SYSTEM, actor="services/waiting"))


async def next_assignment(desk: Desk) -> tuple[bool, datetime | None]:
    """Return whether something can be given out now, and when the next shift begins."""
    answer = await teams_of(desk).GetNextAssignment(rpc.GetNextAssignmentRequest(parent=desk.unit))
    has_shift = answer.HasField("next_shift_time")
    return answer.due, answer.next_shift_time.ToDatetime(tzinfo=UTC) if has_shift else None


async def give_out(desk: Desk) -> list[str]:
    request = rpc.AssignWaitingTicketsRequest(parent=desk.unit, request_id=new_request_id())
    return list((await teams_of(desk).AssignWaitingTickets(request)).tickets)


async def test_what_came_at_night_is_given_out_when_the_shift_begins_once(desk: Desk) -> None:
    await set_team(desk, "office", "li", calendar="office")
    desk.clock.now = EVENING
    ticket = await desk.open()
    assert (await next_assignment(desk), await give_out(desk)) == ((False, OPENS), [])
    desk.clock.now = OPENS
    assert (await next_assignment(desk))[0]
    assert (await give_out(desk), await give_out(desk)) == ([ticket.name], [])
    after = await desk.get(ticket.name)
    assert (given(after), after.state) == (("office", "li"), pb.NEW)
    # To the team when it came, to the agent in the morning.
    assert (await desk.told_types()).count("TicketAssigned") == 2


async def test_after_a_downtime_over_the_beginning_of_the_shift_it_is_given_out_late_and_once(desk: Desk) -> None:
    await set_team(desk, "office", "li", calendar="office")
    desk.clock.now = EVENING
    ticket = await desk.open()
    desk.clock.now = OPENS + timedelta(hours=2)
    assert (await next_assignment(desk))[0]
    assert (await give_out(desk), await give_out(desk)) == ([ticket.name], [])


async def test_a_ticket_whose_time_lies_ahead_takes_no_other_along(desk: Desk) -> None:
    await set_team(desk, "office", "li", calendar="office")
    desk.clock.now = EVENING
    ahead = await desk.open()
    desk.clock.advance(days=30)
    await desk.do("CommentTicket", ahead.name)
    desk.clock.now = OPENS - timedelta(minutes=1)
    other = await desk.open()
    desk.clock.now = OPENS
    assert await give_out(desk) == [ahead.name, other.name]
    times = [(await desk.get(name)).update_time.ToDatetime(UTC) for name in (ahead.name, other.name)]
    assert times == [EVENING + timedelta(days=30), OPENS]


async def test_what_runs_out_first_is_given_out_first_and_the_next_shift_gets_what_is_left(desk: Desk) -> None:
    targets = "targets:\n  - {id: urgent, response: 30m, resolution: 2h, when: 'ticket.priority == \"P1\"'}\n"
    await enact(desk, SHIFTS_YAML.replace("targets:\n", targets))
    await set_team(desk, "one", "li=1", calendar="early")
    await set_team(desk, "two", "wang=1", calendar="late")
    desk.clock.now = MONDAY + timedelta(hours=14)
    ordinary = await desk.open()
    desk.clock.advance(minutes=5)
    urgent = await desk.open(priority=pb.P1)
    early, late = OPENS - timedelta(hours=3), OPENS + timedelta(hours=5)
    assert await next_assignment(desk) == (False, early)
    desk.clock.now = early
    assert await give_out(desk) == [urgent.name]
    assert await next_assignment(desk) == (False, late)
    desk.clock.now = late
    assert await give_out(desk) == [ordinary.name]
    tickets = [await desk.get(urgent.name), await desk.get(ordinary.name)]
    assert [given(each) for each in tickets] == [("one", "li"), ("two", "wang")]


async def test_a_member_s_own_shift_counts(desk: Desk) -> None:
    await enact(desk, SHIFTS_YAML)
    members = [
        rpc.TeamMember(agent=f"{desk.unit}/agents/{agent}", calendar=calendar)
        for agent, calendar in {"li": "late", "wang": "early"}.items()
    ]
    stub: Any = TeamServiceStub(desk.caller.channel(Role.LEAD, actor="agents/chen"))
    team = rpc.Team(name=f"{desk.unit}/teams/displays", members=members)
    await stub.SetTeam(rpc.SetTeamRequest(team=team, request_id=new_request_id()))
    desk.clock.now = MONDAY + timedelta(hours=14)
    ticket = await desk.open()
    desk.clock.now = OPENS - timedelta(hours=3)
    assert await give_out(desk) == [ticket.name]
    assert given(await desk.get(ticket.name)) == ("displays", "wang")


async def test_no_shift_begins_on_a_public_holiday(desk: Desk) -> None:
    await enact(desk, SHIFTS_YAML)
    await set_team(desk, "office", "li", calendar="bavaria")
    # The evening before Christmas, which is a Friday; work begins on Monday.
    desk.clock.now = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
    ticket = await desk.open()
    desk.clock.now = datetime(2026, 12, 25, 8, 0, tzinfo=UTC)
    monday = datetime(2026, 12, 28, 8, 0, tzinfo=UTC)
    assert (await next_assignment(desk), await give_out(desk)) == ((False, monday), [])
    desk.clock.now = monday
    assert await give_out(desk) == [ticket.name]


@pytest.mark.parametrize("calendar", ["office", "munich-tuned"])
async def test_no_shift_begins_on_a_day_off_of_the_unit_s_own_until_it_is_taken_back(
    munich: Desk, calendar: str
) -> None:
    await enact(munich, POLICY_YAML.replace("tunable: {", "tunable: {calendar_exceptions: 1, "))
    await tune(munich, 1, f"calendar_exceptions: [{{date: {OPENS:%Y-%m-%d}}}]")
    await set_team(munich, "displays", "li", calendar=calendar)
    munich.clock.now = EVENING
    ticket = await munich.open()
    munich.clock.now = OPENS
    assert (await next_assignment(munich), await give_out(munich)) == ((False, OPENS + timedelta(days=1)), [])
    await tune(munich, 2, "{}")
    munich.clock.now -= timedelta(minutes=1)
    assert (await next_assignment(munich), await give_out(munich)) == ((False, OPENS), [])
    munich.clock.now = OPENS
    assert await give_out(munich) == [ticket.name]


async def test_what_a_team_of_nobody_has_waits_for_people(desk: Desk) -> None:
    await set_team(desk, "queue", calendar="office")
    ticket = await desk.open()
    assert (await next_assignment(desk), await give_out(desk)) == ((False, None), [])
    assert given(await desk.get(ticket.name)) == ("queue", "")


async def test_without_teams_there_is_nothing_to_give_out(desk: Desk) -> None:
    await desk.open()
    assert (await next_assignment(desk), await give_out(desk)) == ((False, None), [])


async def test_before_the_first_policy_there_is_nothing_to_give_out(desk: Desk) -> None:
    await set_team(desk, "displays", "li")
    with psycopg.connect(desk.runtime.settings.database_url) as connection:
        connection.execute("DELETE FROM ticket.policy")
    assert await next_assignment(desk) == (False, None)


async def test_who_has_room_again_is_given_what_waits(desk: Desk) -> None:
    await set_team(desk, "displays", "li=1")
    first, second = await desk.open(), await desk.open()
    assert (await next_assignment(desk))[0] is False
    await desk.do("ResolveTicket", first.name)
    assert (await next_assignment(desk), await give_out(desk)) == ((True, None), [second.name])


async def test_what_climbed_at_night_is_given_to_the_next_tier_in_the_morning(desk: Desk) -> None:
    await set_team(desk, "first", "li", tiers=[1])
    await set_team(desk, "second", "wang", tiers=[2, 3], calendar="office")
    desk.clock.now = EVENING
    ticket = await desk.open()
    climbed = await desk.do("EscalateTicket", ticket.name)
    desk.clock.now = OPENS
    assert (given(climbed), await give_out(desk)) == (("second", ""), [ticket.name])
    assert given(await desk.get(ticket.name)) == ("second", "wang")


async def test_another_team_that_is_there_first_takes_it(desk: Desk) -> None:
    await set_team(desk, "a", "li", calendar="office")
    desk.clock.now = EVENING
    ticket = await desk.open()
    await set_team(desk, "b", "wang")
    assert (await give_out(desk), given(await desk.get(ticket.name))) == ([ticket.name], ("b", "wang"))


async def test_what_no_team_suited_is_given_out_once_one_does(desk: Desk) -> None:
    await set_team(desk, "networks", "li", skills=["network-engineering"])
    ticket = await desk.open()
    assert (given(ticket), await give_out(desk)) == (("", ""), [])
    await set_team(desk, "displays", "wang", skills=["display"])
    assert (await next_assignment(desk))[0]
    assert await give_out(desk) == [ticket.name]
    assert given(await desk.get(ticket.name)) == ("displays", "wang")


async def test_what_is_promised_nothing_waits_as_well(desk: Desk) -> None:
    await enact(desk, POLICY_YAML.replace("{id: every,", "{id: urgent, when: 'ticket.priority == \"P1\"',"), version=4)
    await set_team(desk, "office", "li", calendar="office")
    desk.clock.now = EVENING
    ticket = await desk.open()
    desk.clock.now = OPENS
    assert (len(ticket.clocks), await give_out(desk)) == (0, [ticket.name])


async def test_what_was_imported_waits_for_nobody_also_once_it_is_put_under_a_policy(desk: Desk) -> None:
    opened = HistoricChange(occur_time=timestamp(MONDAY), state=pb.IN_PROGRESS, holder=desk.unit, tier=1)
    await desk.import_tickets(
        HistoricTicket(external_id="old", title="Dark", category="display", priority=pb.P2, changes=[opened])
    )
    await set_team(desk, "displays", "li")
    under = await repaired(desk, f"{desk.unit}/tickets/old", version=1)
    assert (under.changed, await next_assignment(desk), await give_out(desk)) == (True, (False, None), [])


async def test_what_is_at_another_unit_or_solved_or_taken_by_a_person_does_not_wait(desk: Desk) -> None:
    await set_team(desk, "office", calendar="office")
    away = await engaged_at(desk, pb.ACCEPTED)
    solved, taken = await desk.open(), await desk.open()
    await desk.do("ResolveTicket", solved.name)
    await desk.do("AssignTicket", taken.name)
    await set_team(desk, "office", "wang", calendar="office")
    assert (await next_assignment(desk))[0] is False
    assert given(await desk.get(away.ticket))[1] == ""


async def test_a_category_that_the_policy_has_no_more_holds_up_nothing_else(desk: Desk) -> None:
    await set_team(desk, "office", "li", calendar="office")
    one_more = "categories:\n  - {id: a, titles: {en: A}, skill: display}\n"
    await enact(desk, POLICY_YAML.replace("categories:\n", one_more))
    desk.clock.now = EVENING
    old, new = await desk.open(category="a"), await desk.open()
    await enact(desk, POLICY_YAML, version=3)
    desk.clock.now = OPENS
    assert await give_out(desk) == [new.name]
    # A person assigns it; it can climb all the same.
    assert given(await desk.do("EscalateTicket", old.name))[1] == ""


async def test_more_than_one_transaction_takes_come_in_several(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shifts, "MAX_ASSIGNED", 2)
    await set_team(desk, "office", "li", calendar="office")
    desk.clock.now = EVENING
    for _ in range(3):
        await desk.open()
    desk.clock.now = OPENS
    assert [len(await give_out(desk)) for _ in range(3)] == [2, 1, 0]


async def test_another_unit_s_shifts_are_not_here(desk: Desk) -> None:
    with refused() as refusal:
        await teams_of(desk).GetNextAssignment(rpc.GetNextAssignmentRequest(parent="units/munich"))
    assert refusal.reason == "RESOURCE_NOT_FOUND"
