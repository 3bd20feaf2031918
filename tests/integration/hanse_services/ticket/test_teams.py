"""Tickets are given to teams and their members: by skill, tier, language, shift and load."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from hanse.identity import Role
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.work import Cause, CommandExecutor
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import team_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.service_pb2 import CreateTicketRequest
from hanse_protos.ticket.v1.team_pb2_grpc import TeamServiceStub
from hanse_services.ticket.commands import create_ticket
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import POLICY_YAML, SHANGHAI, Desk, new_request_id, refused
from tests.integration.hanse_services.ticket.engaged import Engaged, engaged_at
from tests.integration.hanse_services.ticket.test_repair import explain
from tests.integration.hanse_services.ticket.test_restoring import lose_and_restore


async def set_team(desk: Desk, name: str, *members: str, **fields: Any) -> rpc.Team:
    """Set a team of agents, each "li" or "li=2" with a capacity."""
    split = [member.partition("=") for member in members]
    team = rpc.Team(
        name=f"{desk.unit}/teams/{name}",
        members=[
            rpc.TeamMember(agent=f"{desk.unit}/agents/{agent}", capacity=int(capacity or 0))
            for agent, _, capacity in split
        ],
        **fields,
    )
    stub = TeamServiceStub(desk.caller.channel(Role.LEAD, actor="agents/chen"))
    answer: rpc.Team = await stub.SetTeam(rpc.SetTeamRequest(team=team, request_id=new_request_id()))
    return answer


def given(ticket: pb.Ticket) -> tuple[str, str]:
    """Return the team and the agent that have a ticket, without the unit."""
    return ticket.team.rpartition("/")[2], ticket.assignee.rpartition("/")[2]


async def test_without_teams_nobody_is_given_a_ticket(desk: Desk) -> None:
    assert given(await desk.open()) == ("", "")
    assert await desk.told_types() == ["TicketOpened"]


async def test_whoever_has_the_least_to_do_is_given_the_next_ticket_up_to_the_capacity(desk: Desk) -> None:
    await set_team(desk, "displays", "li=1", "wang=2")
    tickets = [given(await desk.open()) for _ in range(4)]
    assert tickets == [("displays", "li"), ("displays", "wang"), ("displays", "wang"), ("displays", "")]
    assert (await desk.told_types()).count("TicketAssigned") == 4


async def test_whoever_is_given_a_ticket_has_not_begun_live_and_replayed(desk: Desk) -> None:
    begun = 'warn_percents: [50], clocks: {resolution: {start: current.state == "IN_PROGRESS"}}}'
    document = load_yaml(POLICY_YAML.replace("warn_percents: [50]}", begun))
    policy = Policy(name="policies/108", version=108, document=document)
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)
    await set_team(desk, "displays", "li")
    ticket = await desk.open()
    desk.clock.advance(hours=11)
    await desk.evaluate(ticket.name)
    explained = await explain(desk, ticket.name)
    assert (given(ticket), ticket.state) == (("displays", "li"), pb.NEW)
    assert (explained.agrees, [clock.kind for clock in explained.clocks]) == (True, [pb.Clock.RESPONSE])


async def test_servers_that_choose_at_once_give_nobody_more_than_the_capacity(desk: Desk) -> None:
    await set_team(desk, "displays", "li=1", "wang=1")
    async with AsyncExitStack() as stack:
        servers = [CommandExecutor(desk.runtime.database, SCHEMA, desk.unit, clock=desk.clock) for _ in range(4)]
        for server in servers:
            stack.push_async_callback(server.close)
        opened = await asyncio.gather(*(_open_at(server, desk.unit) for server in servers * 2))
    agents = Counter(given(ticket)[1] for ticket in opened)
    assert agents == {"li": 1, "wang": 1, "": 6}


async def _open_at(server: CommandExecutor, unit: str) -> pb.Ticket:
    ticket = pb.Ticket(title="Screen is dark", category="display", priority=pb.P2)
    request = CreateTicketRequest(parent=unit, ticket=ticket, request_id=new_request_id())
    return await server.execute(create_ticket, request, Cause(f"{unit}/agents/li", request.request_id), pb.Ticket)


async def test_tickets_that_are_solved_make_room(desk: Desk) -> None:
    await set_team(desk, "displays", "li=1")
    first = await desk.open()
    await desk.do("ResolveTicket", first.name)
    assert given(await desk.open()) == ("displays", "li")


async def test_who_is_given_a_ticket_has_not_begun(desk: Desk) -> None:
    await set_team(desk, "displays", "li")
    assert (await desk.open()).state == pb.NEW


async def test_the_customer_s_language_comes_before_the_name(desk: Desk) -> None:
    await set_team(desk, "a", "li", languages=["en"])
    await set_team(desk, "b", "wang")
    await set_team(desk, "c", "zhao", languages=["zh", "en"])
    assert given(await desk.open(language="zh-CN")) == ("c", "zhao")
    assert given(await desk.open(language="de")) == ("b", "wang")
    assert given(await desk.open()) == ("a", "li")


async def test_clocks_that_start_once_somebody_has_a_ticket_start_with_the_team_s_choice(desk: Desk) -> None:
    text = POLICY_YAML.replace("response: 1h,", "response: 1h, clocks: {response: {start: current.assigned}},")
    await desk.runtime.database.write(
        PolicyStore(SCHEMA).enact, Policy(name="policies/104", version=104, document=load_yaml(text))
    )
    assert pb.Clock.RESPONSE not in {clock.kind for clock in (await desk.open()).clocks}
    await set_team(desk, "first", "li", tiers=[1])
    assert pb.Clock.RESPONSE in {clock.kind for clock in (await desk.open()).clocks}


async def test_a_team_without_the_skill_gets_nothing(desk: Desk) -> None:
    await set_team(desk, "networks", "li", skills=["network-engineering"])
    assert given(await desk.open()) == ("", "")


async def test_a_ticket_that_climbs_goes_to_the_next_tier_s_team(desk: Desk) -> None:
    await set_team(desk, "first", "li", tiers=[1])
    await set_team(desk, "second", "wang", tiers=[2, 3])
    ticket = await desk.open()
    climbed = await desk.do("EscalateTicket", ticket.name)
    assert (given(ticket), given(climbed)) == (("first", "li"), ("second", "wang"))


async def test_who_is_not_on_shift_gets_nothing(desk: Desk) -> None:
    # Munich's office opens at 08:00 UTC, which it is, and closes at 16:00.
    await set_team(desk, "office", "li", calendar="office")
    now = given(await desk.open())
    desk.clock.advance(hours=9)
    later = given(await desk.open())
    await set_team(desk, "other", "wang", calendar="always")
    assert (now, later, given(await desk.open())) == (("office", "li"), ("office", ""), ("other", "wang"))


async def test_a_ticket_that_comes_back_goes_to_who_had_it(desk: Desk) -> None:
    await set_team(desk, "displays", "li", "wang")
    engaged = await engaged_at(desk, pb.ACCEPTED)
    before = given(await desk.get(engaged.ticket))
    for _ in range(3):
        await desk.open()
    await desk.is_told(engaged.delivered())
    assert given(await desk.get(engaged.ticket)) == before == ("displays", "li")
    assert Engaged(engaged.name).home == SHANGHAI


@pytest.mark.parametrize(
    ("members", "fields"),
    [(["li", "li"], {}), (["li"], {"calendar": "nowhere"}), (["an agent"], {})],
    ids=["an agent twice", "an unknown calendar", "no agent"],
)
async def test_a_team_that_makes_no_sense_is_refused(desk: Desk, members: list[str], fields: dict[str, str]) -> None:
    with refused() as refusal:
        await set_team(desk, "displays", *members, **fields)
    assert refusal.reason == "VALIDATION_FAILED"


async def test_a_team_is_listed_until_it_is_deleted(desk: Desk) -> None:
    await set_team(desk, "displays", "li")
    stub = TeamServiceStub(desk.caller.channel(Role.LEAD, actor="agents/chen"))
    listed = [(await stub.ListTeams(rpc.ListTeamsRequest(parent=desk.unit))).teams]
    name = f"{desk.unit}/teams/displays"
    await stub.DeleteTeam(rpc.DeleteTeamRequest(name=name, request_id=new_request_id()))
    listed.append((await stub.ListTeams(rpc.ListTeamsRequest(parent=desk.unit))).teams)
    assert [[team.name for team in teams] for teams in listed] == [[name], []]
    assert given(await desk.open()) == ("", "")


async def test_a_team_comes_back_after_a_loss(desk: Desk) -> None:
    await set_team(desk, "displays", "li")
    before = await desk.open()
    await lose_and_restore(desk)
    assert given(await desk.get(before.name)) == given(await desk.open()) == ("displays", "li")
