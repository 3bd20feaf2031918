"""`hanse workflow`: the processes of a unit that wait for a deadline or an answer, and handling one by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import uuid4

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.cli.desk import Desk
from hanse.enums import name_of
from hanse_protos.waiting.v1 import processes_pb2 as pb

app = typer.Typer(help="Show, pause, resume, skip and retry waiting processes.", no_args_is_help=True)

STYLES = {pb.FAILING: "red", pb.FAILED: "red", pb.PAUSED: "yellow", pb.PLANNED: "dim", pb.ENDED: "dim"}

KINDS = {"/engagements/": "escalation", "/complaints/": "complaint"}
"""What kind of process waits for something, by its name; for all else it is the sla of a ticket."""

ProcessArgument = Annotated[
    str,
    typer.Argument(
        help="The process, sla:units/shanghai/tickets/3k9m2x-4t7qzd, or what it waits for: a ticket, a complaint, an "
        "engagement."
    ),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]


@command(app, "list", unit="shanghai")
def list_processes(
    at: At,
    kind: Annotated[str, typer.Option("--kind", help="Only this kind: sla, complaint or escalation.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many that run are shown at most.")] = 50,
) -> None:
    """List the processes of a unit: the paused ones first, then those that run, the newest first."""
    request = pb.ListProcessesRequest(parent=at.parent, kind=kind, page_size=limit)
    answer = at.ask(lambda desk: desk.processes.ListProcesses(request))
    if at.as_json:
        output.print_json(output.as_dict(answer))
        return
    columns = ["kind", "waits for", "state", "begins (UTC)", "tries", "problem"]
    output.table(f"Processes of {at.unit}", columns, map(_row, answer.processes))
    if answer.next_page_token:
        output.console.print("There are more: ask for them with --limit.")


def _row(process: pb.Process) -> list[str | Text]:
    pauses = [f"paused by {output.who(one.actor)}: {one.reason}" for one in process.interventions]
    return [
        process.kind,
        process.resource,
        _state(process),
        output.when(process.begin_time) if process.HasField("begin_time") else "",
        str(process.tries or ""),
        process.error or "".join(pauses),
    ]


def _state(process: pb.Process) -> Text:
    return Text(name_of(pb.ProcessState, process.state), STYLES.get(process.state, ""))


@command(app, "show", unit="shanghai")
def show(at: At, process: ProcessArgument) -> None:
    """Show a process, with all that was done to it by hand."""
    _show(at, lambda desk: desk.processes.GetProcess(pb.GetProcessRequest(id=id_of(at, process))))


@command(app, "pause", unit="shanghai")
def pause(at: At, process: ProcessArgument, reason: ReasonOption) -> None:
    """Pause a process: it does nothing until it is resumed."""
    request = pb.PauseProcessRequest(id=id_of(at, process), reason=reason, request_id=str(uuid4()))
    _show(at, lambda desk: desk.processes.PauseProcess(request))


@command(app, "resume", unit="shanghai")
def resume(at: At, process: ProcessArgument) -> None:
    """Resume a paused process: what has become due meanwhile is done now."""
    request = pb.ResumeProcessRequest(id=id_of(at, process), request_id=str(uuid4()))
    _show(at, lambda desk: desk.processes.ResumeProcess(request))


@command(app, "skip", unit="shanghai")
def skip(at: At, process: ProcessArgument, reason: ReasonOption) -> None:
    """Skip the step that a process waits for: it is never done, and the process waits for the next one."""
    request = pb.SkipProcessStepRequest(id=id_of(at, process), reason=reason, request_id=str(uuid4()))
    _show(at, lambda desk: desk.processes.SkipProcessStep(request))


@command(app, "retry", unit="shanghai")
def retry(at: At, process: ProcessArgument) -> None:
    """Have a process ask its service now, however long it would have waited before its next try."""
    request = pb.RetryProcessRequest(id=id_of(at, process), request_id=str(uuid4()))
    _show(at, lambda desk: desk.processes.RetryProcess(request))


def id_of(at: At, process: str) -> str:
    """Return a process's id from itself, or from the name of what it waits for; a bare id is one of a ticket."""
    kind, colon, resource = process.rpartition(":")
    if not colon:
        kind = next((kind for part, kind in KINDS.items() if part in resource), "sla")
    return f"{kind}:{at.ticket(resource)}"


def _show(at: At, call: Callable[[Desk], Awaitable[Any]]) -> None:
    process: pb.Process = at.ask(call)
    if at.as_json:
        output.print_json(output.as_dict(process))
        return
    output.console.print(Text.assemble((process.id, "bold"), " ", _state(process)))
    lines = {
        "begins": _when(process.begin_time),
        "next due": _when(process.next_due_time),
        "tries": str(process.tries or ""),
        "error": process.error,
        "next try": _when(process.next_try_time),
    }
    for name, value in lines.items():
        if value:
            output.console.print(Text.assemble((f"  {name:9}", "dim"), value))
    for one in process.interventions:
        kind = name_of(pb.Intervention.Kind, one.kind).lower()
        said = f"{output.when(one.time)} UTC by {output.who(one.actor)}"
        words = [part for part in (one.step, one.reason) if part]
        output.console.print(Text.assemble((f"  {kind:9}", "dim"), ": ".join([said, *words])))


def _when(time: Timestamp) -> str:
    return f"{output.when(time)} UTC" if time.seconds else ""
