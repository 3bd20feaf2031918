"""Why a ticket's clocks stand where they stand: each step of its history, what it did, and the stretch that it began.

The lines are what a repair would compute (`replaying`), under the policy that the clocks run under or another. Nothing
is read from the clocks themselves but whether they agree. Conditions that have no answer for the ticket are named: what
they would have done was not done.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hanse.names import home_of, short_unit
from hanse.policy.facts import facts_of
from hanse.policy.histories import Happening, Moment, Repair
from hanse.policy.standards import Standards, kind_of
from hanse.policy.store import PolicyStore
from hanse.policy.unanswered import Heard
from hanse.times import duration, put_time, timestamp
from hanse_protos.ticket.v1 import repair_pb2 as pb
from hanse_protos.ticket.v1 import ticket_pb2 as nouns
from hanse_services.ticket.clocks.repair import found_ticket, history_of, replay_beside, signature, standards_for
from hanse_services.ticket.clocks.replaying import ClockKey, Line
from hanse_services.ticket.clocks.rows import state_of, summary_of_clock, used_until
from hanse_services.ticket.clocks.rules import current_of
from hanse_services.ticket.model import Ticket


def explain_clocks(
    session: Session, policies: PolicyStore, now: datetime, request: pb.ExplainClocksRequest
) -> pb.ClockExplanation:
    """Explain a ticket's clocks. Raises ResourceNotFound, HistoryMissing, PolicyMissing; what the policy raises."""
    ticket = found_ticket(session, request.name)
    history = history_of(session, request.name)
    standards = standards_for(session, policies, ticket, history, request.policy_version)
    heard = Heard()
    standards = standards.heard_by(heard) if standards else None
    replayed = replay_beside(standards, ticket, history, now)
    explanation = pb.ClockExplanation(ticket=ticket.name, agrees=signature(ticket) == signature(replayed.ticket))
    if standards is None:
        return explanation
    explanation.policy_version = standards.version
    explanation.lines.extend(_lines(standards, replayed.ticket, replayed.lines, now))
    explanation.lines.extend(map(_repaired, history.repairs))
    explanation.lines.sort(key=lambda line: line.start_time.ToNanoseconds())
    for clock in replayed.ticket.clocks:
        used = used_until(standards, replayed.ticket, clock, now)
        explanation.clocks.append(summary_of_clock(clock, state_of(replayed.ticket, clock), used))
    unanswered = heard.problems | _unanswered_now(standards, ticket)
    explanation.unanswered.extend(pb.UnansweredCondition(path=path, problem=why) for path, why in unanswered.items())
    return explanation


def _unanswered_now(standards: Standards, ticket: Ticket) -> dict[str, str]:
    """Return which conditions that are no clock's have no answer for a ticket as it is now, and why."""
    heard, facts = Heard(), facts_of(standards, ticket, home_of(ticket.name))
    listening = standards.heard_by(heard)
    listening.ladder_for(facts)
    listening.may_be_suspended(facts, current_of(ticket))
    for step in listening.document.hierarchy:
        listening.tells(facts, step.level, kind_of(step), step.at_percent)
    return heard.problems


def _lines(standards: Standards, ticket: Ticket, lines: list[Line], now: datetime) -> Iterator[pb.ClockLine]:
    ends = [*(line.at for line in lines[1:]), None]
    for line, end in zip(lines, ends, strict=True):
        shown = pb.ClockLine(start_time=timestamp(line.at), because=_because(line))
        if line.running or line.standing:
            put_time(shown.end_time, end)
            _put_stretch(shown, standards, ticket, line, now if end is None else end)
        if line.moment is not None:
            change = line.moment.change
            shown.actor, shown.event_id = change.actor, change.event_id
            put_time(shown.noted_time, change.noted)
        yield shown


def _put_stretch(shown: pb.ClockLine, standards: Standards, ticket: Ticket, line: Line, until: datetime) -> None:
    """Say on which calendar the stretch counted, and how much working time is in it."""
    segment = [row for row in ticket.segments if row.start_time <= line.at][-1]
    shown.unit, shown.calendar = segment.unit, segment.calendar
    shown.running.extend(sorted({kind for kind, _ in line.running}))
    worked = standards.calendars[segment.calendar].between(line.at, until) if line.running else timedelta(0)
    shown.used_duration.CopyFrom(duration(worked))


def _because(line: Line) -> str:
    """Say what happened and what it did to the clocks."""
    if line.moment is None:
        return f"{_names(line.ran_out)} ran out"
    effects = [
        f"{_names(keys)} {does}"
        for keys, does in ((line.started, "started"), (line.stopped, "stopped"), (line.standing, "stood"))
        if keys
    ]
    if line.running and not line.started:
        effects.append(f"{_names(line.running)} ran")
    if line.is_promised_later:
        effects.insert(0, "nothing was promised for that, so it counts as what it turned out to be later")
    return "; ".join([_happened(line.moment), *effects])


def _names(keys: Iterable[ClockKey]) -> str:
    kinds = ((nouns.Clock.Kind.Name(kind).lower().replace("_", " "), number) for kind, number in sorted(keys))
    return " and ".join(f"{kind} {number}" if number > 1 else kind for kind, number in kinds)


def _happened(moment: Moment) -> str:
    change = moment.change
    match change.what:
        case Happening.PAUSED:
            said = f"began to wait for {moment.waiting_for}"
        case Happening.HANDED_OVER:
            said = f"went to {short_unit(moment.holder)}"
        case Happening.RECLASSIFIED:
            said = f"turned out to be {nouns.Priority.Name(moment.classification.priority)}"
            said += f" in {moment.classification.category}"
        case Happening.CLIMBED:
            said = f"climbed to tier {moment.tier}"
        case Happening.ANSWERED:
            said = "the customer got an answer"
        case _:
            said = change.what.value
    return f"{said} (corrected)" if change.noted else said


def _repaired(repair: Repair) -> pb.ClockLine:
    if repair.late_event_id:
        because = f"repaired by the desk itself: a step was heard of after later ones ({repair.late_event_id})"
    elif repair.version != repair.previous_version:
        before = f"policy version {repair.previous_version}" if repair.previous_version else "no policy"
        because = f"repaired: put under policy version {repair.version}, from {before}"
    else:
        because = f"repaired under policy version {repair.version}"
    return pb.ClockLine(start_time=timestamp(repair.at), because=because, actor=repair.actor, event_id=repair.event_id)
