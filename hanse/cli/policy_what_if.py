"""`hanse policy what-if`: what a draft would have made of the group's real tickets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hanse.cli import output
from hanse.cli.connection import At, resource_name, settings_of
from hanse.cli.desk import Desk
from hanse.cli.instants import INSTANT_FORMATS, in_utc
from hanse.enums import in_words
from hanse.times import put_time
from hanse_protos.federation.v1 import what_if_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, PolicyDocument

SHOWN_TICKETS = 20

SinceOption = Annotated[
    datetime | None,
    typer.Option(help="Leave out tickets that were opened before, UTC.", formats=INSTANT_FORMATS),
]
HomeOption = Annotated[str, typer.Option("--home", help="Only the tickets of this unit.")]
AllOption = Annotated[bool, typer.Option("--all", help="Show every ticket that differs, not the first few.")]


@dataclass
class Answer:
    """What headquarters found."""

    differences: list[pb.WhatIfDifference] = field(default_factory=list)
    summaries: list[pb.WhatIfSummary] = field(default_factory=list)


def ask(at: At, document: PolicyDocument, since: datetime | None, home: str) -> Answer:
    """Ask headquarters, and show how far it is."""
    request = pb.ComparePolicyRequest(document=document, unit=resource_name(home) if home else "")
    put_time(request.since, in_utc(since))
    return asyncio.run(_ask(at, request))


async def _ask(at: At, request: pb.ComparePolicyRequest) -> Answer:
    async with Desk(settings_of(at.group, at.unit), at.person) as desk:
        return await compare(desk, request)


async def compare(headquarters: Desk, request: pb.ComparePolicyRequest) -> Answer:
    """Ask headquarters, and show how far it is on standard error."""
    answer = Answer()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=output.errors) as bars:
        bar = bars.add_task("records", total=None)
        async for news in headquarters.what_if.ComparePolicy(request):
            match news.WhichOneof("news"):
                case "progress":
                    total = news.progress.total_records
                    bars.update(bar, completed=news.progress.records, total=total)
                case "difference":
                    answer.differences.append(news.difference)
                case "summary":
                    answer.summaries.append(news.summary)
    return answer


NOT_KNOWN = (
    "What people did stays as it was. Not known: who above the desk would have acknowledged, what people would have "
    "done when warned, and how much each unit had to do: everybody counts as free. What the other units say of "
    "themselves, and who has left the group, is as it is now."
)


def show(answer: Answer, *, every_ticket: bool) -> None:
    """Print the answer for people."""
    judged = [summary for summary in answer.summaries if summary.tickets]
    output.table(
        "Under the policies that governed → under this document",
        ["unit", "tickets", "differ", *_COUNTED, "rerouted", "unknown"],
        (
            (
                output.unit(summary.unit),
                f"{summary.tickets:,}",
                f"{summary.different:,}",
                *(_change(getattr(summary.before, name), getattr(summary.after, name)) for name in _COUNTED.values()),
                f"{summary.rerouted:,}",
                f"{summary.unknown:,}",
            )
            for summary in judged
        ),
    )
    shown = answer.differences if every_ticket else answer.differences[:SHOWN_TICKETS]
    if shown:
        rows_of_tickets = ((difference.ticket, *_in_words(difference)) for difference in shown)
        output.table("Tickets that differ", ["ticket", "before", "after"], rows_of_tickets)
    if len(shown) < len(answer.differences):
        output.console.print(f"and {len(answer.differences) - len(shown):,} more: --all shows them, --json too")
    if judged:
        _show_not_known(sum(summary.imported for summary in judged))


_COUNTED = {
    "late answers": "response_breaches",
    "late replies": "late_replies",
    "late updates": "late_updates",
    "late solutions": "resolution_breaches",
    "late OLA, UC": "late_agreements",
    "climbs": "climbs",
    "told above": "tickets_told_above",
    "asked": "engagements",
}
"""The columns of what is counted under both, and the fields."""


def _show_not_known(imported: int) -> None:
    output.console.print(NOT_KNOWN, style="dim")
    if imported:
        tickets = f"{imported:,} imported {'ticket' if imported == 1 else 'tickets'}"
        output.console.print(f"Of {tickets} it is not known what customers wrote and were answered.", style="dim")


def _change(before: int, after: int) -> str:
    return f"{before:,}" if before == after else f"{before:,} → {after:,}"


def _in_words(difference: pb.WhatIfDifference) -> tuple[str, str]:
    """Say what each policy makes of a ticket, as far as the two differ."""
    pairs = list(zip(_facts(difference.before), _facts(difference.after), strict=True))
    differing = [(before, after) for before, after in pairs if before != after]
    return ", ".join(before for before, _ in differing), ", ".join(after for _, after in differing)


def _facts(verdict: pb.WhatIfVerdict) -> list[str]:
    levels = ", ".join(in_words(HierarchyStep.Level, level) for level in verdict.levels)
    return [
        f"target {verdict.target or 'none'}",
        f"answer {'late' if verdict.response_breached else 'in time'}",
        f"late replies {verdict.late_replies}",
        f"late updates {verdict.late_updates}",
        f"solution {'late' if verdict.resolution_breached else 'in time'}",
        f"solution due {output.when(verdict.resolution_due_time)}",
        f"late OLA, UC {verdict.late_agreements}",
        f"tier {verdict.tier}",
        f"tells {levels or 'nobody above'}",
        f"asks {asked_in_words(verdict.asked_units, verdict.desk, final=verdict.final)}",
    ]


def asked_in_words(units: Iterable[str], desk: str, *, final: bool) -> str:
    """Say who is asked first for an engagement."""
    names = ", ".join(map(output.unit, units))
    if desk:
        return f"the shared desk {desk} ({names})"
    return f"{names or 'nobody'}{', the final owner' if final else ''}"
