"""`hanse ticket correct`, `repair`, `explain`: clocks computed anew from what happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.cli.instants import INSTANT_FORMATS, in_utc
from hanse.enums import in_words, name_of
from hanse.times import instant, timestamp
from hanse_protos.ticket.v1 import repair_pb2 as rpc
from hanse_protos.ticket.v1 import service_pb2
from hanse_protos.ticket.v1 import ticket_pb2 as pb

REPAIRED_AT_ONCE = 20
"""How many tickets are repaired in one transaction: other commands of the desk wait for it meanwhile."""
REPAIR_TIMEOUT_SECONDS = 120.0
"""Long histories on a busy machine take their time; what was not repaired by then is repaired by another try."""
LISTED_AT_ONCE = 500
SOME_FAILED = 1

TicketArgument = Annotated[str, typer.Argument(help="The ticket's name, or its id where it is the unit's own.")]
Version = Annotated[int, typer.Option("--policy", help="A version of the policy; by default the ticket's own.")]


def _time(help_text: str) -> Any:
    return typer.Option(formats=INSTANT_FORMATS, help=f"{help_text}, in UTC.")


Answered = Annotated[datetime | None, _time("When the customer got an answer that was not noted")]
Waited = Annotated[datetime | None, _time("From when on the ticket really waited")]
Resumed = Annotated[datetime | None, _time("When it really went on")]
Solved = Annotated[datetime | None, _time("When it had its solution, before that was noted")]
Moved = Annotated[list[str] | None, typer.Option(help="EVENT=TIME: when a noted step really happened. Repeatable.")]
Voided = Annotated[list[str] | None, typer.Option(help="The event of a step that did not happen. Repeatable.")]


def register(app: typer.Typer) -> None:
    """Add these commands to `hanse ticket`."""
    command(app, "correct", unit="shanghai")(correct)
    command(app, "repair", unit="shanghai")(repair)
    command(app, "explain", unit="shanghai")(explain)


def correct(
    at: At,
    ticket: TicketArgument,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")],
    answered: Answered = None,
    waited_from: Waited = None,
    waiting_for: Annotated[str, typer.Option(help="For whom it waited.")] = "other",
    resumed: Resumed = None,
    solved: Solved = None,
    move: Moved = None,
    void: Voided = None,
) -> None:
    """Say when steps of a ticket really happened, and repair its clocks. Events and their ids: hanse ticket explain."""
    steps = (
        (rpc.MissedStep.ANSWERED, answered, ""),
        (rpc.MissedStep.PAUSED, waited_from, waiting_for),
        (rpc.MissedStep.RESUMED, resumed, ""),
        (rpc.MissedStep.RESOLVED, solved, ""),
    )
    corrections = [
        rpc.Correction(missed=rpc.MissedStep(step=step, occur_time=_utc(time), waiting_for=whom))
        for step, time, whom in steps
        if time is not None
    ]
    corrections += [rpc.Correction(moved=_moved(text)) for text in move or ()]
    corrections += [rpc.Correction(voided_event_id=event_id) for event_id in void or ()]
    if not corrections:
        raise typer.BadParameter("say what is to be corrected: --answered, --waited-from, --resumed, --solved, …")
    request = rpc.CorrectTicketRequest(
        name=at.ticket(ticket), corrections=corrections, reason=reason, request_id=str(uuid4())
    )
    _show_repaired(at, at.ask(lambda desk: desk.repairs.CorrectTicket(request)))


def _utc(time: datetime) -> Any:
    return timestamp(in_utc(time))


def _moved(text: str) -> rpc.MovedStep:
    """Read "EVENT=TIME". Raises typer.BadParameter that says what to write."""
    event_id, _, time = text.partition("=")
    try:
        at = datetime.fromisoformat(time)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: write EVENT=2026-11-23T10:00:00") from error
    return rpc.MovedStep(event_id=event_id, occur_time=_utc(at))


def repair(
    at: At,
    ticket: Annotated[str, typer.Argument(help="A ticket; without one, those that --since and --target choose.")] = "",
    policy: Version = 0,
    since: Annotated[datetime | None, _time("All tickets that were opened since")] = None,
    target: Annotated[str, typer.Option(help="All tickets whose clocks run under this target.")] = "",
    open_clocks: Annotated[bool, typer.Option("--open", help="All tickets with open clocks, many at once.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> None:
    """Compute clocks anew from what happened, under their own version of the policy or another.

    --open puts all tickets with open clocks under the version that is in force, or under the one that --policy names.
    """
    if sum(map(bool, (ticket, since or target, open_clocks))) != 1:
        raise typer.BadParameter("name a ticket, or choose many: with --since or --target, or with --open")
    if open_clocks:
        _repair_open(at, policy, dry_run=dry_run)
        return
    names = [at.ticket(ticket)] if ticket else list(_chosen(at, since, target))
    found = rpc.RepairTicketsResponse()
    for first in range(0, len(names), REPAIRED_AT_ONCE):
        request = rpc.RepairTicketsRequest(
            parent=at.parent,
            names=names[first : first + REPAIRED_AT_ONCE],
            policy_version=policy,
            validate_only=dry_run,
            request_id=str(uuid4()),
        )
        found.MergeFrom(_ask(at, request))
    _show_all(at, found, "would change" if dry_run else "changed")
    if found.failures:
        raise typer.Exit(SOME_FAILED)


def _repair_open(at: At, policy: int, *, dry_run: bool) -> None:
    """Repair page by page. Whoever is interrupted begins again: what is done by then is passed over."""
    request = rpc.RepairOpenClocksRequest(parent=at.parent, policy_version=policy, validate_only=dry_run)
    found = rpc.RepairOpenClocksResponse()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=output.errors) as bars:
        bar = bars.add_task("tickets", total=None)
        while True:
            request.request_id = str(uuid4())
            page = at.ask(lambda desk: desk.repairs.RepairOpenClocks(request, timeout=REPAIR_TIMEOUT_SECONDS))
            _add(found, page)
            bars.update(bar, completed=found.ticket_count, total=found.total_count)
            # Should another version come into force meanwhile, all get the one that the first got. A lead, who may
            # choose none but the one in force, is told so, and begins again.
            request.policy_version, request.page_token = page.policy_version, page.next_page_token
            if not page.next_page_token:
                break
    _show_open(at, found, dry_run=dry_run)
    if found.failures:
        raise typer.Exit(SOME_FAILED)


_COUNTS = ("ticket_count", "recomputed_count", "replayed_count", "breach_count", "withdrawn_count")


def _add(found: rpc.RepairOpenClocksResponse, page: rpc.RepairOpenClocksResponse) -> None:
    for name in _COUNTS:
        setattr(found, name, getattr(found, name) + getattr(page, name))
    found.policy_version, found.total_count = page.policy_version, found.total_count or page.total_count
    found.failures.extend(page.failures)


def _show_open(at: At, found: rpc.RepairOpenClocksResponse, *, dry_run: bool) -> None:
    if at.as_json:
        output.print_json(found)
        return
    for failure in found.failures:
        output.print_error(f"{failure.name}: {failure.message}", "", failure.reason)
    repaired = found.recomputed_count + found.replayed_count
    verb = "would be put" if dry_run else "put"
    output.console.print(
        f"{repaired:,} of {found.ticket_count:,} tickets {verb} under {output.policy(found.policy_version)}, "
        f"{found.replayed_count:,} of them from their histories, {len(found.failures)} failed; "
        f"{found.breach_count:,} breaches came to light, {found.withdrawn_count:,} were none"
    )


def _ask(at: At, request: rpc.RepairTicketsRequest) -> rpc.RepairTicketsResponse:
    answer: rpc.RepairTicketsResponse = at.ask(
        lambda desk: desk.repairs.RepairTickets(request, timeout=REPAIR_TIMEOUT_SECONDS)
    )
    return answer


def _chosen(at: At, since: datetime | None, target: str) -> Iterator[str]:
    """Yield the tickets that were opened since an instant, with a clock under a target; the newest come first."""
    start = in_utc(since)
    request = service_pb2.ListTicketsRequest(parent=at.parent, page_size=LISTED_AT_ONCE)
    while True:
        page = at.ask(lambda desk: desk.tickets.ListTickets(request))
        for ticket in page.tickets:
            if start and instant(ticket.open_time) < start:
                return
            if not target or any(clock.target == target for clock in ticket.clocks):
                yield ticket.name
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _show_all(at: At, found: rpc.RepairTicketsResponse, verb: str) -> None:
    if at.as_json:
        output.print_json(found)
        return
    changed = [ticket for ticket in found.tickets if ticket.changed]
    for ticket in changed:
        _show_clocks(ticket)
    for failure in found.failures:
        output.print_error(f"{failure.name}: {failure.message}", "", failure.reason)
    output.console.print(
        f"{output.count(len(found.tickets), 'ticket')} computed, {len(changed)} {verb}, {len(found.failures)} failed"
    )


def _show_repaired(at: At, ticket: rpc.RepairedTicket) -> None:
    if at.as_json:
        output.print_json(ticket)
    elif ticket.changed:
        _show_clocks(ticket)
    else:
        output.console.print(f"{ticket.name}: its clocks stand where they stood")


def _show_clocks(ticket: rpc.RepairedTicket) -> None:
    before = {(clock.kind, clock.number): clock for clock in ticket.before}
    after = {(clock.kind, clock.number): clock for clock in ticket.after}
    rows = ((_kind(*key), _where(before.get(key)), _where(after.get(key))) for key in sorted({*before, *after}))
    output.table(f"{ticket.name}, {output.policy(ticket.policy_version)}", ["clock", "before", "after"], rows)


def _kind(kind: pb.Clock.Kind.ValueType, number: int) -> str:
    name = in_words(pb.Clock.Kind, kind)
    return f"{name} {number}" if number > 1 else name


def _where(clock: pb.ClockSummary | None) -> str:
    """Say where a clock stands, for people."""
    if clock is None:
        return "–"
    parts = [name_of(pb.Clock.State, clock.state).lower()]
    if clock.HasField("used_duration"):
        parts.append(f"{output.seconds(clock.used_duration)} of {output.seconds(clock.target_duration)}")
    # What ran out was due then.
    due = ("ran out", clock.breach_time) if clock.HasField("breach_time") else ("due", clock.due_time)
    for name, time in (due, ("stopped", clock.stop_time)):
        if time.seconds:
            parts.append(f"{name} {output.when(time)}")
    return ", ".join(parts)


def _until(start: Timestamp, end: Timestamp) -> str:
    """Say when a stretch ended, without the day where that is the one on which it began."""
    day, text = output.when(start)[:10], output.when(end)
    return text.removeprefix(day).lstrip()


def explain(at: At, ticket: TicketArgument, policy: Version = 0) -> None:
    """Say for each stretch of a ticket's clocks why it counted as it did."""
    request = rpc.ExplainClocksRequest(name=at.ticket(ticket), policy_version=policy)
    found = at.ask(lambda desk: desk.repairs.ExplainClocks(request))
    if at.as_json:
        output.print_json(found)
        return
    rows = (
        (
            output.when(line.start_time),
            _until(line.start_time, line.end_time),
            output.unit(line.unit),
            line.calendar or "–",
            output.seconds(line.used_duration) if line.unit else "–",
            Text.assemble(line.because, (f"  {output.who(line.actor)}", "dim") if line.actor else ""),
            Text(line.event_id, "dim"),
        )
        for line in found.lines
    )
    title = f"{found.ticket} under {output.policy(found.policy_version)}, UTC"
    output.table(title, ["from", "to", "unit", "calendar", "counted", "why", "event"], rows)
    for clock in found.clocks:
        output.console.print(f"{_kind(clock.kind, clock.number)}: {_where(clock)}", style="bold")
    for condition in found.unanswered:
        output.console.print(
            f"{condition.path} of {output.policy(found.policy_version)} has no answer for this ticket, so it does not "
            f"hold: {condition.problem}",
            style="yellow",
        )
    if not found.agrees:
        output.console.print(
            "The ticket's clocks do not stand there: hanse ticket repair puts them there", style="yellow"
        )
