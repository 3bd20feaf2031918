"""`hanse attainment`: how promises were kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.cli.instants import INSTANT_FORMATS, in_utc
from hanse.enums import in_words, name_of
from hanse.names import ANY_UNIT, HEADQUARTERS
from hanse.times import timestamp
from hanse_protos.federation.v1.complaints_pb2 import GetGroupComplaintAttainmentRequest
from hanse_protos.federation.v1.group_pb2 import GetGroupAttainmentRequest
from hanse_protos.policy.v1.policy_pb2 import GetPolicyRequest, HierarchyStep, Policy
from hanse_protos.ticket.v1 import attainment_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

Instant = Annotated[datetime | None, typer.Option(formats=INSTANT_FORMATS, help="In UTC.")]
PREFIX = "BY_"


def register(app: typer.Typer) -> None:
    """Add `hanse attainment` to the command line."""
    command(app, "attainment", unit="shanghai")(attainment)


def attainment(
    at: At,
    by: Annotated[list[str] | None, typer.Option("--by", help="What to count by. Repeatable; kind by default.")] = None,
    since: Instant = None,
    until: Instant = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Ask headquarters for all units.")] = False,
    complaints: Annotated[bool, typer.Option("--complaints", help="Count complaints, by level.")] = False,
) -> None:
    """Count the promises that were kept and those that were not, and how much of them was used up."""
    period = _period(since, until)
    if complaints:
        if by:
            raise typer.BadParameter("complaints are counted by unit and level: leave --by out")
        complaint_attainment(at, period, everywhere)
        return
    dimensions = [_dimension(text) for text in by or (["unit", "kind"] if everywhere else ["kind"])]
    if everywhere:
        at = _headquarters(at)
        question = GetGroupAttainmentRequest(parent=ANY_UNIT, period=period, group_by=dimensions)
        report = at.ask(lambda desk: desk.group.GetGroupAttainment(question))
    else:
        request = rpc.GetAttainmentRequest(parent=at.parent, period=period, group_by=dimensions)
        report = at.ask(lambda desk: desk.attainment.GetAttainment(request))
    if at.as_json:
        output.print_json(report)
    else:
        show(report, dimensions, _services(at) if rpc.BY_SERVICE in dimensions else {})


def _services(at: At) -> dict[str, str]:
    """Return each service of the catalogue in force as it is shown: with the unit that answers for it."""
    policy: Policy = at.ask(lambda desk: desk.policies.GetPolicy(GetPolicyRequest(name="policies/current")))
    return {service.id: f"{service.id} ({output.unit(service.owner)})" for service in policy.document.services}


def _period(since: datetime | None, until: datetime | None) -> rpc.AttainmentPeriod:
    if since and until and until <= since:
        raise typer.BadParameter("--until is not after --since: nothing would be counted")
    period = rpc.AttainmentPeriod()
    for field, time in ((period.start_time, since), (period.end_time, until)):
        if time is not None:
            field.CopyFrom(timestamp(in_utc(time)))
    return period


def _headquarters(at: At) -> At:
    return At(HEADQUARTERS, at.person, at.group, at.as_json)


def complaint_attainment(at: At, period: rpc.AttainmentPeriod, everywhere: bool) -> None:
    """Count the complaints that were filed in a period, at a unit or everywhere."""
    report: rpc.ComplaintAttainmentReport
    if everywhere:
        question = GetGroupComplaintAttainmentRequest(parent=ANY_UNIT, period=period)
        report = _headquarters(at).ask(lambda desk: desk.group_complaints.GetGroupComplaintAttainment(question))
    else:
        request = rpc.GetComplaintAttainmentRequest(parent=at.parent, period=period)
        report = at.ask(lambda desk: desk.attainment.GetComplaintAttainment(request))
    if at.as_json:
        output.print_json(report)
        return
    rows = [
        [output.unit(row.unit), in_words(HierarchyStep.Level, row.level), *_complaint_figures(row)]
        for row in report.rows
    ]
    rows.append(["all", "", *_complaint_figures(report.total)])
    heads = ["opened", "escalated to it", "acknowledged in time", "answered in time", "answers rejected"]
    output.table("Complaints", ["unit", "level", *heads], rows)


def _complaint_figures(row: rpc.ComplaintAttainmentRow) -> list[str]:
    return [
        str(row.opened),
        str(row.escalated),
        _share(row.acknowledgement_met, row.acknowledgement_breached),
        _share(row.answer_met, row.answer_breached),
        str(row.rejected),
    ]


def _share(met: int, breached: int) -> str:
    return f"{met} of {met + breached}" if met + breached else "–"


def _dimension(text: str) -> rpc.AttainmentDimension.ValueType:
    name = f"{PREFIX}{text.upper().replace('-', '_')}"
    known = rpc.AttainmentDimension.keys()[1:]
    if name not in known:
        choice = ", ".join(each.removeprefix(PREFIX).lower().replace("_", "-") for each in known)
        raise typer.BadParameter(f"{text} is none of {choice}")
    return rpc.AttainmentDimension.Value(name)


def show(
    report: rpc.AttainmentReport,
    dimensions: list[rpc.AttainmentDimension.ValueType],
    services: Mapping[str, str],
) -> None:
    """Print a report for people; `services` says how services are shown, by their ids."""
    columns = [name_of(rpc.AttainmentDimension, each).removeprefix(PREFIX).lower() for each in dimensions]
    rows = [
        [*(_shown(column, getattr(row, column), services) for column in columns), *_figures(row)] for row in report.rows
    ]
    rows.append([*("all" if i == 0 else "" for i in range(len(columns))), *_figures(report.total)])
    heads = [column.replace("_", " ") for column in columns]
    output.table("Attainment", [*heads, "met", "breached", "attained", "median used", "90 % used at most"], rows)


def _shown(column: str, value: Any, services: Mapping[str, str]) -> str:
    match column:
        case "unit":
            return output.unit(value)
        case "kind":
            return in_words(pb.Clock.Kind, value)
        case "towards":
            return name_of(pb.Clock.Towards, value).lower()
        case "priority":
            return name_of(pb.Priority, value)
        case "policy_version":
            return output.policy(value)
    return services.get(value, value) if column == "service" else str(value)


def _figures(row: rpc.AttainmentRow) -> list[str]:
    decided = row.met + row.breached
    return [
        str(row.met),
        str(row.breached),
        f"{row.attained_percent:.1f} %" if decided else "–",
        f"{row.median_used_percent:.1f} %" if row.HasField("median_used_percent") else "–",
        f"{row.p90_used_percent:.1f} %" if row.HasField("p90_used_percent") else "–",
    ]
