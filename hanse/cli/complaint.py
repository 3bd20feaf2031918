"""`hanse complaint`: a customer is not content with how a ticket was handled."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command, inside
from hanse.enums import in_words
from hanse.names import ANY_UNIT, HEADQUARTERS, home_of
from hanse.policy.levels import level_in_words
from hanse_protos.federation.v1 import complaints_pb2 as group
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1.ticket_pb2 import Clock

app = typer.Typer(help="File complaints about how a ticket was handled, and answer them.", no_args_is_help=True)

NameArgument = Annotated[str, inside("complaints", "…")]
OUTCOMES = {"upheld": pb.UPHELD, "partly-upheld": pb.PARTLY_UPHELD, "not-upheld": pb.NOT_UPHELD}
UNDER_WAY = [pb.COMPLAINT_OPEN, pb.COMPLAINT_ACKNOWLEDGED, pb.COMPLAINT_ANSWERED]
PAGE_SIZE = 200


def _state(summary: pb.ComplaintSummary) -> str:
    return in_words(pb.ComplaintState, summary.state).removeprefix("complaint ")


def _due(summary: pb.ComplaintSummary) -> str:
    """Return when the level that has it owes the next step."""
    if summary.state not in UNDER_WAY[:2]:
        return ""
    owed = [clock for clock in summary.clocks if not clock.HasField("stop_time")]
    if summary.state == pb.COMPLAINT_ACKNOWLEDGED:
        owed = [clock for clock in owed if clock.kind == pb.ComplaintClock.ANSWER]
    return min((output.when(clock.due_time) for clock in owed), default="")


def _print(summary: pb.ComplaintSummary) -> None:
    level = level_in_words(summary.level)
    output.console.print(Text.assemble((summary.name, "bold"), "  ", (_state(summary), "cyan"), f", with {level}"))
    if summary.handler:
        output.console.print(f"looked into by {summary.handler}", style="dim", markup=False)
    for clock in summary.clocks:
        times = f"due {output.when(clock.due_time)} UTC, {in_words(Clock.State, clock.state)}"
        kind = in_words(pb.ComplaintClock.Kind, clock.kind)
        whose = "the customer" if clock.kind == pb.ComplaintClock.REPLY else level_in_words(clock.level)
        output.console.print(f"{kind} by {whose}: {times}", markup=False)
    if summary.outcome:
        silently = ", accepted by silence" if summary.accepted_by_silence else ""
        output.console.print(f"outcome: {in_words(pb.ComplaintOutcome, summary.outcome)}{silently}")


def _show(complaint: pb.Complaint, as_json: bool) -> None:
    if as_json:
        output.print_json(complaint)
        return
    _print(complaint.summary)
    for title, text in (("complaint", complaint.text), ("answer", complaint.answer)):
        if text:
            output.console.print(Text.assemble((f"{title} ", "bold"), text))
    for entry in complaint.entries:
        who = entry.actor.rsplit("/", 1)[-1]
        output.console.print(f"{output.when(entry.occur_time)}  {who}: {entry.summary}", style="dim", markup=False)


def _show_at_headquarters(complaint: group.GroupComplaint, as_json: bool) -> None:
    if as_json:
        output.print_json(complaint)
        return
    _print(complaint.complaint)
    texts = (("complaint", complaint.text), ("answer", complaint.answer), ("why it came here", complaint.reason))
    for title, text in texts:
        if text:
            output.console.print(Text.assemble((f"{title} ", "bold"), text))


def _is_headquarters(at: At, name: str) -> bool:
    """Whether it is headquarters, as the highest level, that is meant, and not the desk of a unit."""
    if at.parent != HEADQUARTERS:
        return False
    if home_of(name) != HEADQUARTERS:
        return True
    request = pb.GetComplaintRequest(name=name)
    own: pb.Complaint = at.ask(lambda desk: desk.complaints.GetComplaint(request))
    return own.summary.level == HierarchyStep.HEADQUARTERS


@command(app, "open", unit="shanghai")
def open_complaint(at: At, ticket: str, text: str) -> None:
    """File what a customer complains about. It goes to the unit's manager, or where the policy says."""
    request = pb.CreateComplaintRequest(parent=at.ticket(ticket), text=text, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.complaints.CreateComplaint(request)), at.as_json)


@command(app, "list", unit="shanghai")
def list_complaints(
    at: At,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Ask headquarters for all units.")] = False,
) -> None:
    """List the complaints of a unit, the newest first; with -u hq those of all units that came to headquarters."""
    states = [] if everything else UNDER_WAY
    reply: Any
    if everywhere or at.parent == HEADQUARTERS:
        level = HierarchyStep.LEVEL_UNSPECIFIED if everywhere else HierarchyStep.HEADQUARTERS
        asked = group.ListGroupComplaintsRequest(parent=ANY_UNIT, states=states, level=level, page_size=PAGE_SIZE)
        headquarters = At(HEADQUARTERS, at.person, at.group, at.as_json)
        reply = headquarters.ask(lambda desk: desk.group_complaints.ListGroupComplaints(asked))
        summaries = [each.complaint for each in reply.complaints]
    else:
        request = pb.ListComplaintsRequest(parent=f"{at.parent}/tickets/-", states=states, page_size=PAGE_SIZE)
        reply = at.ask(lambda desk: desk.complaints.ListComplaints(request))
        summaries = [each.summary for each in reply.complaints]
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (each.name, _state(each), level_in_words(each.level), _due(each), each.handler, output.when(each.open_time))
        for each in summaries
    )
    where = "everywhere" if everywhere else f"at {at.unit}"
    output.table(f"Complaints {where}", ["complaint", "state", "with", "due", "looked into by", "filed"], rows)
    if unreachable := [output.unit(unit) for unit in getattr(reply, "unreachable", ())]:
        output.console.print(f"may be out of date, no link: {', '.join(unreachable)}", style="yellow")


@command(app, "show", unit="shanghai")
def show(at: At, name: NameArgument) -> None:
    """Show a complaint with its steps; with -u hq as headquarters knows it, with the texts that came along."""
    if _is_headquarters(at, name):
        asked = group.GetGroupComplaintRequest(name=name)
        _show_at_headquarters(at.ask(lambda desk: desk.group_complaints.GetGroupComplaint(asked)), at.as_json)
        return
    request = pb.GetComplaintRequest(name=name)
    _show(at.ask(lambda desk: desk.complaints.GetComplaint(request)), at.as_json)


@command(app, "acknowledge", unit="shanghai", person="lead")
def acknowledge(at: At, name: NameArgument) -> None:
    """Take a complaint up: you look into it. Not for somebody who worked on the ticket."""
    if _is_headquarters(at, name):
        asked = group.AcknowledgeGroupComplaintRequest(name=name, request_id=str(uuid4()))
        _show_at_headquarters(at.ask(lambda desk: desk.group_complaints.AcknowledgeGroupComplaint(asked)), at.as_json)
        return
    request = pb.AcknowledgeComplaintRequest(name=name, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.complaints.AcknowledgeComplaint(request)), at.as_json)


@command(app, "note", unit="shanghai", person="lead")
def note(at: At, name: NameArgument, text: str) -> None:
    """Note what was found out. The customer does not see it."""
    request = pb.NoteComplaintRequest(name=name, text=text, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.complaints.NoteComplaint(request)), at.as_json)


@command(app, "answer", unit="shanghai", person="lead")
def answer(
    at: At,
    name: NameArgument,
    text: str,
    outcome: Annotated[str, typer.Option(help=f"Whether the customer was right: {', '.join(OUTCOMES)}.")],
) -> None:
    """Answer the customer; with -u hq for headquarters."""
    if outcome not in OUTCOMES:
        raise typer.BadParameter(f"{outcome} is none of {', '.join(OUTCOMES)}")
    found = OUTCOMES[outcome]
    if _is_headquarters(at, name):
        asked = group.AnswerGroupComplaintRequest(name=name, text=text, outcome=found, request_id=str(uuid4()))
        _show_at_headquarters(at.ask(lambda desk: desk.group_complaints.AnswerGroupComplaint(asked)), at.as_json)
        return
    request = pb.AnswerComplaintRequest(name=name, text=text, outcome=found, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.complaints.AnswerComplaint(request)), at.as_json)


@command(app, "reject", unit="shanghai")
def reject(at: At, name: NameArgument, reason: str) -> None:
    """Note that the customer is not content with the answer: the complaint goes to the next level."""
    request = pb.RejectComplaintAnswerRequest(name=name, text=reason, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.complaints.RejectComplaintAnswer(request)), at.as_json)


@command(app, "escalate", unit="shanghai", person="lead")
def escalate(at: At, name: NameArgument, reason: str) -> None:
    """Take a complaint to the next level before it is answered."""
    request = pb.EscalateComplaintRequest(name=name, text=reason, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.complaints.EscalateComplaint(request)), at.as_json)


@command(app, "close", unit="shanghai", person="lead")
def close(at: At, name: NameArgument) -> None:
    """End a complaint that is answered: somebody who did not answer it, as long as the customer may reject it."""
    request = pb.CloseComplaintRequest(name=name, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.complaints.CloseComplaint(request)), at.as_json)


@command(app, "withdraw", unit="shanghai")
def withdraw(at: At, name: NameArgument, reason: str = "") -> None:
    """Note that the customer takes the complaint back."""
    request = pb.WithdrawComplaintRequest(name=name, text=reason, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.complaints.WithdrawComplaint(request)), at.as_json)
