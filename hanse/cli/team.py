"""`hanse team`: who of a unit's desk gets which tickets."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import uuid4

import typer

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse_protos.ticket.v1 import team_pb2 as pb

app = typer.Typer(help="Who of a unit's desk gets which tickets.", no_args_is_help=True)

MEMBER = re.compile(r"(?P<agent>[a-z0-9][a-z0-9._-]*)(=(?P<capacity>\d+))?(@(?P<calendar>[a-z][a-z0-9-]*))?")

MembersOption = Annotated[
    list[str] | None,
    typer.Option("--member", help="li, li=5 (five tickets), li=5@night (own shift). Repeatable."),
]
TiersOption = Annotated[
    list[int] | None, typer.Option("--tier", min=1, max=3, help="All where none is said. Repeatable.")
]
SkillsOption = Annotated[list[str] | None, typer.Option("--skill", help="All where none is said. Repeatable.")]
LanguagesOption = Annotated[list[str] | None, typer.Option("--language", help="zh; repeatable.")]
CalendarOption = Annotated[str, typer.Option(help="The policy's calendar that its shifts are.")]


@command(app, "list", unit="shanghai")
def list_teams(at: At) -> None:
    """List the teams of a unit."""
    reply = at.ask(lambda desk: desk.teams.ListTeams(pb.ListTeamsRequest(parent=at.parent)))
    if at.as_json:
        output.print_json(reply)
        return
    columns = ["team", "tiers", "skills", "languages", "shifts", "members"]
    output.table(f"Teams of {at.unit}", columns, (_row(team) for team in reply.teams))


def _row(team: pb.Team) -> tuple[str, ...]:
    return (
        _last(team.name),
        ", ".join(str(tier) for tier in team.tiers) or "all",
        ", ".join(team.skills) or "all",
        ", ".join(team.languages),
        team.calendar or "always",
        ", ".join(_written(member) for member in team.members),
    )


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _written(member: pb.TeamMember) -> str:
    capacity = f"={member.capacity}" if member.capacity else ""
    return f"{_last(member.agent)}{capacity}{f'@{member.calendar}' if member.calendar else ''}"


@command(app, "set", unit="shanghai", person="lead")
def set_team(
    at: At,
    team: str,
    member: MembersOption = None,
    tier: TiersOption = None,
    skill: SkillsOption = None,
    language: LanguagesOption = None,
    calendar: CalendarOption = "",
) -> None:
    """Make a team, or replace it."""
    wanted = pb.Team(
        name=f"{at.parent}/teams/{team}",
        tiers=tier or [],
        skills=skill or [],
        languages=language or [],
        calendar=calendar,
        members=[_member(at, text) for text in member or []],
    )
    answer = at.ask(lambda desk: desk.teams.SetTeam(pb.SetTeamRequest(team=wanted, request_id=str(uuid4()))))
    if at.as_json:
        output.print_json(answer)
    else:
        output.console.print(f"{answer.name} has {output.count(len(answer.members), 'member')}", markup=False)


def _member(at: At, text: str) -> pb.TeamMember:
    """Read "li=5@night". Raises typer.BadParameter that says what to write."""
    written = MEMBER.fullmatch(text)
    if written is None:
        raise typer.BadParameter(f"{text!r} is no member: write li, li=5 or li=5@night")
    return pb.TeamMember(
        agent=f"{at.parent}/agents/{written['agent']}",
        capacity=int(written["capacity"] or 0),
        calendar=written["calendar"] or "",
    )


@command(app, "delete", unit="shanghai", person="lead")
def delete(at: At, team: str) -> None:
    """Delete a team. Its tickets stay with their agents."""
    request = pb.DeleteTeamRequest(name=f"{at.parent}/teams/{team}", request_id=str(uuid4()))
    at.ask(lambda desk: desk.teams.DeleteTeam(request))
    output.console.print(f"{request.name} is gone", markup=False)
