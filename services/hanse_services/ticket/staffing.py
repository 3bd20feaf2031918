"""Setting up the teams of a unit's desk: the unit's own business, told in its log like everything else."""

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert as upsert

from hanse.errors import ResourceNotFound, ValidationFailed
from hanse.log.events import Fact
from hanse.names import home_of
from hanse.times import timestamp
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import team_pb2 as rpc
from hanse_services.ticket.loading import check_agent
from hanse_services.ticket.model import TeamRow
from hanse_services.ticket.teams import forget_teams


def set_team(work: Work, request: rpc.SetTeamRequest) -> rpc.Team:
    """Make or replace a team.

    Raises ResourceNotFound for another unit's; ValidationFailed for an agent of another unit, an agent twice, or a
    calendar that the policy in force does not have.
    """
    team = rpc.Team()
    team.CopyFrom(request.team)
    _check(work, team)
    team.update_time.CopyFrom(timestamp(work.now))
    _keep(work, team)
    work.tell(team.name, told.TeamSet(team=team))
    return team


def _check(work: Work, team: rpc.Team) -> None:
    if home_of(team.name) != work.unit:
        raise ResourceNotFound(resource=team.name)
    agents = [member.agent for member in team.members]
    for agent in agents:
        check_agent(agent)
        if home_of(agent) != work.unit:
            raise ValidationFailed(f"{agent} is of another unit", fields="team.members")
        if agents.count(agent) > 1:
            raise ValidationFailed(f"{agent} is in the team twice", fields="team.members")
    for calendar in {team.calendar, *(member.calendar for member in team.members)} - {""}:
        if calendar not in work.standards.calendars:
            raise ValidationFailed(
                f"the policy in force has no calendar {calendar!r}",
                hint=f"Choose one of {', '.join(sorted(each.id for each in work.standards.document.calendars))}.",
                fields="team.calendar",
            )


def _keep(work: Work, team: rpc.Team) -> None:
    content = team.SerializeToString()
    statement = upsert(TeamRow).values(name=team.name, team=content)
    work.session.execute(statement.on_conflict_do_update(index_elements=[TeamRow.name], set_={"team": content}))
    forget_teams(work)


def delete_team(work: Work, request: rpc.DeleteTeamRequest) -> rpc.DeleteTeamResponse:
    """Delete a team. Raises ResourceNotFound."""
    if not _drop(work, request.name):
        raise ResourceNotFound(resource=request.name)
    work.tell(request.name, told.TeamDeleted(team=request.name))
    return rpc.DeleteTeamResponse()


def _drop(work: Work, name: str) -> bool:
    gone = work.session.scalar(delete(TeamRow).where(TeamRow.name == name).returning(TeamRow.name))
    forget_teams(work)
    return gone is not None


def team_set(work: Work, fact: Fact) -> None:
    """Restore a team from what was told of it."""
    team: rpc.Team = fact.payload.team  # type: ignore[attr-defined]
    if home_of(team.name) == work.unit:
        _keep(work, team)


def team_deleted(work: Work, fact: Fact) -> None:
    """Restore that a team was deleted."""
    _drop(work, fact.payload.team)  # type: ignore[attr-defined]
