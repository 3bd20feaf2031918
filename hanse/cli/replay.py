"""`hanse replay`: a legacy incident log becomes a group's history, and headquarters reports on it.

It can be stopped at any time and started again: a batch has the same request id each time, and a ticket that is there
already is left as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import grpc
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hanse.cli import output, policy_what_if
from hanse.cli.connection import settings_of
from hanse.cli.countries import calendar_of
from hanse.cli.desk import Desk
from hanse.cli.incident_log import NO_COUNTRY, REST, Change, Count, IncidentLog, by_country, count, fold, read
from hanse.cli.patience import eventually
from hanse.errors import HanseError
from hanse.local.group import Group
from hanse.names import HEADQUARTERS, short_unit
from hanse.policy import load_yaml
from hanse.times import timestamp
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.federation.v1.what_if_pb2 import ComparePolicyRequest
from hanse_protos.log.v1.log_pb2 import ListStreamsRequest
from hanse_protos.policy.v1 import policy_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc

DEFAULT_FOLDER = Path(".hanse-replay")
BATCH_TICKETS = 100
"""How many incidents go into one request at most: about a thousand events, and a second of work."""
BATCH_CHANGES = 10_000
"""How many changes go into one request at most, but for one incident with more: below gRPC's 4 MB for a message."""
IMPORT_TIMEOUT_SECONDS = 120.0
ARRIVAL_PATIENCE_SECONDS = 600.0
"""How long headquarters may take to have everything, after the last import."""
PATIENCE_SECONDS = 60.0
SHOWN_BROKEN_ROWS = 20


class ReplayFailed(HanseError):  # noqa: N818 - the errors of Hanse say what is wrong.
    """The replay did not come to its end."""

    reason = "REPLAY_FAILED"
    message = "The replay did not come to its end."
    hint = "Start it again: it goes on where it was."


class By(StrEnum):
    """What of an incident log becomes a unit."""

    ORG_LINE = "org-line"
    COUNTRY = "country"


def register(app: typer.Typer) -> None:
    """Add `hanse replay` to the command line."""
    app.command("replay")(replay)


def replay(
    file: Annotated[Path, typer.Argument(help="An incident log, CSV or CSV.gz.", exists=True, dir_okay=False)],
    units: Annotated[
        int, typer.Option(help="Keep this many of the biggest org lines, or countries, as units.", min=1, max=30)
    ] = 4,
    group: Annotated[Path, typer.Option("--group", help="The folder of the replay's own group.")] = DEFAULT_FOLDER,
    by: Annotated[By, typer.Option(help="What becomes a unit: an org line, or a country.")] = By.ORG_LINE,
    as_json: Annotated[bool, typer.Option("--json", help="Print headquarters' report as JSON.")] = False,
) -> None:
    """Import a legacy incident log into a group of its own, and print headquarters' report.

    By country, headquarters is asked besides what the countries' office hours and holidays would have made of it.
    """
    start = time.monotonic()
    log = by_country(read(file)) if by == By.COUNTRY else read(file)
    for row in log.broken[:SHOWN_BROKEN_ROWS]:
        output.print_error(f"line {row.line}: {row.problem}", "The row is left out; the rest goes on.")
    if len(log.broken) > SHOWN_BROKEN_ROWS:
        output.print_error(f"and {len(log.broken) - SHOWN_BROKEN_ROWS} more broken rows", "")
    folded = fold(log, units)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    seed = uuid5(NAMESPACE_URL, f"hanse-replay:{digest}:{units}{':country' if by == By.COUNTRY else ''}")
    report, what_if = asyncio.run(_replay(log, folded, group, seed, by))
    if as_json:
        output.print_json(report, *(what_if.summaries if what_if else ()))
    else:
        show_report(report)
        if what_if:
            policy_what_if.show(what_if, every_ticket=False)
    difference = compare(report, count(log, folded))
    verdict = "agrees exactly with a plain count of the file" if not difference else f"DIFFERS: {'; '.join(difference)}"
    output.errors.print(
        f"{len(log.incidents)} incidents, {log.changes} changes, {len(log.broken)} broken rows; "
        f"headquarters' report {verdict}; {time.monotonic() - start:.0f} s in all"
    )
    if difference:
        raise typer.Exit(1)


async def _replay(
    log: IncidentLog, folded: dict[str, str], folder: Path, seed: UUID, by: By
) -> tuple[group_pb2.TrafficReport, policy_what_if.Answer | None]:
    from hanse.cli.schemas import migrate_all  # noqa: PLC0415 - it brings every part; `hanse --help` needs none of them.

    units = sorted({f"units/{unit}" for unit in folded.values()})

    def progress(text: str) -> None:
        output.errors.print(text, style="dim")

    async with Group(folder, units, migrate_all, progress):
        await ensure_policy(folder, units)
        await import_log(folder, log, folded, seed)
        async with Desk(settings_of(folder, HEADQUARTERS), "replay") as headquarters:
            await until_arrived(folder, units, headquarters)
            report: group_pb2.TrafficReport = await headquarters.group.GetTrafficReport(
                group_pb2.GetTrafficReportRequest(), timeout=IMPORT_TIMEOUT_SECONDS
            )
            if by == By.ORG_LINE:
                return report, None
            request = ComparePolicyRequest(document=country_policy(folded))
            return report, await policy_what_if.compare(headquarters, request)


def policy_for(units: Sequence[str]) -> policy_pb2.PolicyDocument:
    """Return a policy for units that nothing is known of but their names."""
    profiles = "".join(
        f"  - {{unit: {unit}, calendar: always, languages: [en], skills: [general]}}\n"
        for unit in [HEADQUARTERS, *units]
    )
    return load_yaml(
        "title: Replay of a legacy incident log\n"
        "categories: [{id: incident, skill: general}]\n"
        "calendars: [{id: always, time_zone: Europe/Berlin, shifts: [{days: MON-SUN, start: 00:00, end: 24:00}]}]\n"
        f"units:\n{profiles}"
        "targets: [{id: all, response: 8h, resolution: 40h}]\n"
        "routing: {eligible: ticket.skill in provider.skills, score: 0 - load, offer_timeout: 1h, rounds: 1, "
        f"final_owner: {HEADQUARTERS}}}\n"
        "rates: [{id: all, amount: 100.00 EUR}]\n"
    )


def country_policy(folded: dict[str, str]) -> policy_pb2.PolicyDocument:
    """Return a policy for units that are countries: each with its office hours, holidays and time zone.

    The countries that share the unit `rest` share the office hours of universal time.
    """
    document = policy_for(sorted({f"units/{unit}" for unit in folded.values()}))
    countries = {f"units/{unit}": country for country, unit in folded.items() if unit != REST}
    del document.calendars[:]
    for profile in document.units:
        profile.calendar = f"{short_unit(profile.unit)}-office"
        country = countries.get(profile.unit, "")
        document.calendars.append(calendar_of(country if country != NO_COUNTRY else "", profile.calendar))
    return document


async def ensure_policy(folder: Path, units: Sequence[str]) -> None:
    """Publish a policy that knows the units, unless headquarters has one, and wait until every unit has it."""
    async with Desk(settings_of(folder, HEADQUARTERS), "replay") as headquarters:
        if not (await headquarters.policies.ListPolicies(policy_pb2.ListPoliciesRequest())).policies:
            request = policy_pb2.PublishPolicyRequest(document=policy_for(units), request_id=str(uuid4()))
            await headquarters.policies.PublishPolicy(request)

        async def acknowledged() -> bool:
            reply = await headquarters.group.ListUnits(group_pb2.ListUnitsRequest())
            return {unit.unit for unit in reply.units if unit.policy_version} >= set(units)

        await eventually(acknowledged, "every unit acknowledges the policy", PATIENCE_SECONDS, ReplayFailed)


async def import_log(folder: Path, log: IncidentLog, folded: dict[str, str], seed: UUID) -> None:
    """Import every incident into the unit that held it first, the units side by side."""
    by_home: dict[str, list[list[Change]]] = defaultdict(list)
    for changes in log.incidents.values():
        by_home[f"units/{folded[changes[0].org_line]}"].append(changes)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.errors) as bars:
        imports = (
            _import_home(folder, home, incidents, folded, seed, bars) for home, incidents in sorted(by_home.items())
        )
        await asyncio.gather(*imports)


async def _import_home(
    folder: Path, home: str, incidents: list[list[Change]], folded: dict[str, str], seed: UUID, bars: Progress
) -> None:
    bar = bars.add_task(f"{short_unit(home):<12}", total=len(incidents))
    async with Desk(settings_of(folder, home), "replay") as desk:
        for number, batch in enumerate(batches(incidents)):
            request = rpc.ImportTicketsRequest(
                parent=home,
                tickets=(_historic(changes, folded) for changes in batch),
                request_id=str(uuid5(seed, f"{home}:{number}")),
            )
            reply = await _import(desk, request)
            for failure in reply.failures:
                output.print_error(f"{failure.external_id}: {failure.message}", "It is left out; the rest goes on.")
            bars.advance(bar, len(batch))


async def _import(desk: Desk, request: rpc.ImportTicketsRequest) -> rpc.ImportTicketsResponse:
    """Import a batch; wait for the desk to be told the policy, which its unit acknowledged a moment earlier."""
    reply = rpc.ImportTicketsResponse()

    async def imported() -> bool:
        nonlocal reply
        try:
            reply = await desk.tickets.ImportTickets(request, timeout=IMPORT_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                return False
            raise
        return True

    await eventually(imported, f"the desk of {short_unit(desk.unit)} has the policy", PATIENCE_SECONDS, ReplayFailed)
    return reply


def batches(incidents: Iterable[list[Change]]) -> Iterator[list[list[Change]]]:
    """Put incidents together into requests, by their number and by that of their changes."""
    batch: list[list[Change]] = []
    changes = 0
    for incident in incidents:
        if batch and (len(batch) == BATCH_TICKETS or changes + len(incident) > BATCH_CHANGES):
            yield batch
            batch, changes = [], 0
        batch.append(incident)
        changes += len(incident)
    if batch:
        yield batch


def _historic(changes: Sequence[Change], folded: dict[str, str]) -> rpc.HistoricTicket:
    first = changes[0]
    return rpc.HistoricTicket(
        external_id=first.incident,
        title=f"{first.incident}, {first.product}",
        category="incident",
        product=first.product,
        priority=first.priority,
        changes=(
            rpc.HistoricChange(
                occur_time=timestamp(change.occur_time),
                state=change.state,
                waiting_for=change.waiting_for,
                holder=f"units/{folded[change.org_line]}",
                tier=change.tier,
                agent=change.agent,
            )
            for change in changes
        ),
    )


async def until_arrived(folder: Path, units: Sequence[str], headquarters: Desk) -> None:
    """Wait until headquarters has everything that the units have."""
    wanted = {unit: await _ticket_head(folder, unit) for unit in units}

    async def arrived() -> bool:
        reply = await headquarters.group.ListUnits(group_pb2.ListUnitsRequest())
        received = {stream.received.stream: stream.received.sequence for unit in reply.units for stream in unit.streams}
        return all(received.get(f"{unit}/streams/ticket", 0) >= head for unit, head in wanted.items())

    with output.errors.status("waiting: everything arrives at headquarters"):
        await eventually(arrived, "everything arrives at headquarters", ARRIVAL_PATIENCE_SECONDS, ReplayFailed)


async def _ticket_head(folder: Path, unit: str) -> int:
    async with Desk(settings_of(folder, unit), "replay") as desk:
        reply = await desk.logs.ListStreams(ListStreamsRequest())
    return next((head.sequence for head in reply.streams if head.stream == f"{unit}/streams/ticket"), 0)


@dataclass(frozen=True, slots=True)
class _Pair:
    what: str
    reported: object
    counted: object


def compare(report: group_pb2.TrafficReport, counted: Count) -> list[str]:
    """Return where headquarters' report differs from a plain count; empty where they agree."""
    by_unit = {short_unit(unit.unit): unit for unit in report.units if unit.tickets}
    matrix = {(short_unit(cell.from_unit), short_unit(cell.to_unit)): cell.count for cell in report.hand_overs}
    pairs = [
        _Pair("tickets", {name: unit.tickets for name, unit in by_unit.items()}, dict(counted.tickets)),
        _Pair(
            "handed over",
            {name: unit.handed_over for name, unit in by_unit.items() if unit.handed_over},
            {name: number for name, number in counted.handed_over.items() if number},
        ),
        _Pair(
            "waiting",
            {name: unit.waiting_duration.ToTimedelta() for name, unit in by_unit.items()},
            dict(counted.waiting),
        ),
        _Pair("hand-overs", matrix, dict(counted.hand_overs)),
        _Pair("ping-pong tickets", report.ping_pong_tickets, counted.ping_pong_tickets),
        _Pair("ping-pong returns", report.ping_pong_returns, counted.ping_pong_returns),
    ]
    return [f"{pair.what} {pair.reported} ≠ {pair.counted}" for pair in pairs if pair.reported != pair.counted]


def show_report(report: group_pb2.TrafficReport) -> None:
    """Print headquarters' report for people."""
    rows = (
        (
            output.unit(unit.unit),
            str(unit.tickets),
            str(unit.handed_over),
            f"{unit.waiting_duration.seconds / 86_400:,.1f} days",
        )
        for unit in report.units
        if unit.tickets
    )
    output.table("Incidents by home unit", ["unit", "incidents", "handed over", "waiting in all"], rows)
    names = sorted({cell.from_unit for cell in report.hand_overs} | {cell.to_unit for cell in report.hand_overs})
    counts = {(cell.from_unit, cell.to_unit): cell.count for cell in report.hand_overs}
    matrix = ([output.unit(giver), *(str(counts.get((giver, taker), "·")) for taker in names)] for giver in names)
    output.table("Hand-overs, from row to column", ["", *(output.unit(name) for name in names)], matrix)
    total = sum(counts.values())
    output.console.print(
        f"{total} hand-overs; ping-pong: {report.ping_pong_returns} returns of {report.ping_pong_tickets} incidents "
        "to a unit that they had left"
    )
