"""Teams: who of the desk gets a ticket, by skill, tier, language, shift and load.

A ticket is given to a team and one of its members when it is opened, when it climbs, and when it comes back from
another unit. Of the teams that have the skill and work for the tier, one that speaks the customer's language comes
first, then one with somebody on shift who has room, then by name. Of its members on shift with room, who had the ticket
before comes first, then who speaks the language, then who has the least to do. Where nobody of the team is there the
team has it, and no agent yet; where no team suits it, nobody has. Both wait until somebody is there (`shifts`). Whoever
is given a ticket has not begun: its state stays as it is.

Several servers of a unit choose at once, and each counts what is committed. So that no two of them fill the same place,
one chooses at a time, from the choice to the commit, wherever an agent has a capacity (`take_turns`).

A unit without teams pays for one small query in each transaction, and everything is assigned by people.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from sqlalchemy import ARRAY, Text, any_, bindparam, func, select, text
from sqlalchemy.orm import Session

from hanse.policy.calendar import WorkingCalendar
from hanse.policy.errors import CategoryUnknown, UnitUnknown
from hanse.policy.facts import Described, facts_of
from hanse.policy.standards import Standards
from hanse.policy.store import PolicyStore
from hanse.policy.tuning import tuned_calendar
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import TicketFacts
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import team_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import OPEN, TeamRow, Ticket

_TEAMS = "teams of the desk"
_LOCK_CLASS = 0x5465
"""The first half of the advisory lock of the teams; the second is the unit's. It only has to differ from others'."""
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(:class, hashtext(:unit))")


class Choice(NamedTuple):
    """Who gets a ticket: a team, and one of its members unless nobody is there."""

    team: str = ""
    assignee: str = ""


NOBODY = Choice()


def choose_anew(work: Work, ticket: Ticket) -> Choice | None:
    """Choose who gets a ticket that has changed; None where that stays as it is, or nobody here gets it."""
    if ticket.state not in OPEN or ticket.holder != work.unit:
        return None
    choice = choose(work, work.standards, ticket, ticket.assignee)
    return None if choice in (NOBODY, (ticket.team, ticket.assignee)) else choice


def assigned(ticket: Ticket, after: pb.TicketSummary) -> told.TicketAssigned:
    """Return the fact that a ticket was given to who has it now."""
    return told.TicketAssigned(ticket=after, assignee=ticket.assignee, team=ticket.team)


def choose(work: Work, standards: Standards, ticket: Described, before: str = "") -> Choice:
    """Choose who gets a ticket; `before` is the agent who had it last."""
    teams = teams_of(work.session)
    if not teams:
        return NOBODY
    take_turns(work, teams)
    return Roster(work.session, work.unit, teams, work.policies, standards, now=work.now).choose(ticket, before)


def take_turns(work: Work, teams: Sequence[rpc.Team]) -> None:
    """Let nobody else choose until the transaction ends, where an agent has a capacity: call it before counting loads.

    The log's head is locked after it, as the last thing of every transaction, so the two are never waited for in turn.
    A command that has locked a ticket may wait here for one that goes on to that ticket; PostgreSQL ends one of the
    two, which is then run again.
    """
    if any(member.capacity for team in teams for member in team.members):
        work.session.execute(_TAKE_TURNS, {"class": _LOCK_CLASS, "unit": work.unit})


def teams_of(session: Session) -> Sequence[rpc.Team]:
    """Return the unit's teams, asked for once in each transaction."""
    teams = session.info.get(_TEAMS)
    if teams is None:
        rows = session.scalars(select(TeamRow.team).order_by(TeamRow.name))
        teams = session.info[_TEAMS] = [rpc.Team.FromString(content) for content in rows]
    return cast("Sequence[rpc.Team]", teams)


def forget_teams(work: Work) -> None:
    """Have the teams asked for anew: they have changed in this transaction."""
    work.session.info.pop(_TEAMS, None)


class Roster:
    """The teams of a unit at an instant: which members are on shift, and how much each has to do."""

    def __init__(
        self,
        session: Session,
        unit: str,
        teams: Sequence[rpc.Team],
        policies: PolicyStore,
        standards: Standards,
        *,
        now: datetime,
    ) -> None:
        self._session = session
        self._unit = unit
        self._teams = teams
        self._standards = standards
        self._calendars = _shift_calendars(policies.version(session, standards.version), standards, unit)
        self._now = now
        self._loads: Counter[str] = Counter()
        self._counted: set[str] = set()
        """The agents whose open tickets were counted."""

    def choose(self, ticket: Described, before: str = "") -> Choice:
        """Choose who gets a ticket; `before` is the agent who had it last."""
        facts = self._facts(ticket)
        suitable = [team for team in self._teams if facts and _suits(team, facts)]
        if not suitable or facts is None:
            return NOBODY
        self._count({member.agent for team in suitable for member in team.members})
        free = {team.name: self._free(team) for team in suitable}
        team = min(
            suitable, key=lambda each: (_strangeness(each.languages, facts.language), not free[each.name], each.name)
        )
        members = free[team.name]
        if not members:
            return Choice(team.name)
        member = min(
            members,
            key=lambda each: (
                each.agent != before,
                _strangeness(each.languages or team.languages, facts.language),
                self._load(each),
                each.agent,
            ),
        )
        return Choice(team.name, member.agent)

    def take(self, agent: str) -> None:
        """Count one more ticket of an agent, who has just been given it."""
        self._loads[agent] += 1

    def next_shift(self) -> datetime | None:
        """Return when the next shift of any member begins; None where all are there around the clock."""
        ids = {member.calendar or team.calendar for team in self._teams for member in team.members}
        calendars = (self._calendars.get(each) for each in ids)
        begins = (calendar.begins(self._now) for calendar in calendars if calendar)
        return min((begin for begin in begins if begin), default=None)

    def _facts(self, ticket: Described) -> TicketFacts | None:
        """Return what decides on the team; None for a ticket of which the policy in force knows nothing any more."""
        try:
            return facts_of(self._standards, ticket, self._unit)
        except (CategoryUnknown, UnitUnknown):
            return None

    def _count(self, agents: set[str]) -> None:
        """Count the open tickets of agents, each once."""
        if uncounted := agents - self._counted:
            self._loads.update(_loads(self._session, uncounted))
            self._counted |= uncounted

    def _free(self, team: rpc.Team) -> list[rpc.TeamMember]:
        """Return the members who are on shift and have room."""
        return [
            member
            for member in team.members
            if self._is_on_shift(member.calendar or team.calendar)
            and (not member.capacity or self._loads[member.agent] < member.capacity)
        ]

    def _is_on_shift(self, calendar: str) -> bool:
        """Whether a shift's calendar counts now. One that a later policy does not have any more counts always."""
        known = self._calendars.get(calendar)
        return known is None or known.opens(self._now) == self._now

    def _load(self, member: rpc.TeamMember) -> float:
        """Return how much an agent has to do: of the capacity where there is one, so a half-time agent gets half."""
        return self._loads[member.agent] / (member.capacity or 1)


def _shift_calendars(group: Standards, standards: Standards, unit: str) -> Mapping[str, WorkingCalendar]:
    """Return the calendars that shifts may name: the unit's own has the days that the unit has tuned, by either name.

    While its days differ the unit works by a calendar of another id, which is gone once it takes them back.
    """
    if not standards.lists(unit):
        return standards.calendars
    own = standards.calendars[standards.calendar_of(unit)]
    return {tuned_calendar(unit): own, **standards.calendars, group.calendar_of(unit): own}


def _suits(team: rpc.Team, facts: TicketFacts) -> bool:
    return (not team.tiers or facts.tier in team.tiers) and (not team.skills or facts.skill in team.skills)


def _strangeness(languages: Iterable[str], language: str) -> int:
    """Return 0 for who speaks a customer's language, "zh" for "zh-CN"; 1 where it is left open; 2 for who does not."""
    spoken = list(languages)
    if not spoken or not language:
        return 1
    return 0 if language.split("-", maxsplit=1)[0].lower() in spoken else 2


def _loads(session: Session, agents: Iterable[str]) -> Mapping[str, int]:
    """Return how many open tickets each agent has."""
    among = any_(bindparam("agents", list(agents), ARRAY(Text)))
    query = (
        select(Ticket.assignee, func.count())
        .where(Ticket.assignee == among, Ticket.assignee != "", Ticket.close_time.is_(None), Ticket.state.in_(OPEN))
        .group_by(Ticket.assignee)
    )
    return dict(session.execute(query).all())
