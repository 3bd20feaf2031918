"""`hanse queue`: what runs out next."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Protocol

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.enums import in_words, name_of
from hanse.names import ANY_UNIT, HEADQUARTERS
from hanse.times import instant
from hanse_protos.federation.v1.group_pb2 import ListGroupQueueEntriesRequest
from hanse_protos.ticket.v1 import queue_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

REFRESH_SECONDS = 2.0
"""How often a watched queue is asked for: a person sees no difference below it."""
SOON = timedelta(minutes=30)
"""What runs out within this is shown in yellow."""


class Found(Protocol):
    """A page of a queue, a unit's or the group's."""

    entries: Any
    count: rpc.QueueCount


def register(app: typer.Typer) -> None:
    """Add `hanse queue` to the command line."""
    command(app, "queue", unit="shanghai")(queue)


def queue(
    at: At,
    tier: Annotated[list[int] | None, typer.Option(help="Tickets at this tier. Repeatable.", min=1, max=3)] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Clocks of this kind, response. Repeatable.")] = None,
    priority: Annotated[list[str] | None, typer.Option(help="P1 to P4. Repeatable.")] = None,
    assignee: Annotated[str, typer.Option(help="The tickets of this agent, li.")] = "",
    team: Annotated[str, typer.Option(help="The tickets of this team, displays.")] = "",
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Tickets that nobody works on.")] = False,
    holder: Annotated[str, typer.Option(help="Tickets that this unit works on, munich.")] = "",
    category: Annotated[str, typer.Option(help="Tickets of this category.")] = "",
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Ask headquarters for all units' tickets.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep it on the screen until Ctrl-C.")] = False,
    page_size: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 20,
) -> None:
    """List the promises that still run, the one that runs out first in front, and apart what stands."""
    asked = rpc.QueueFilter(
        tiers=tier,
        kinds=[_value(pb.Clock.Kind, each, "--kind") for each in kind or ()],
        priorities=[_value(pb.Priority, each, "--priority") for each in priority or ()],
        assignee=f"{at.parent}/agents/{assignee}" if assignee and "/" not in assignee else assignee,
        team=f"{at.parent}/teams/{team}" if team and "/" not in team else team,
        unassigned=unassigned,
        holder=f"units/{holder}" if holder and "/" not in holder else holder,
        category=category,
    )
    if watch:
        _watch(at, asked, page_size, everywhere)
        return
    due, standing = (_ask(at, asked, page_size, everywhere, standing=standing) for standing in (False, True))
    if at.as_json:
        output.print_json({"due": output.as_dict(due), "standing": output.as_dict(standing)})
    else:
        output.console.print(_screen(due, standing))


def _value(enum: Any, text: str, option: str) -> Any:
    """Return the value of an enum from its name. Raises typer.BadParameter that says which there are."""
    name = text.upper().replace("-", "_")
    if name not in enum.keys()[1:]:
        choice = ", ".join(known.lower().replace("_", "-") for known in enum.keys()[1:])
        raise typer.BadParameter(f"{text} is none of {choice}", param_hint=option)
    return enum.Value(name)


def _ask(at: At, asked: rpc.QueueFilter, page_size: int, everywhere: bool, *, standing: bool) -> Any:
    if not everywhere:
        request = rpc.ListQueueEntriesRequest(parent=at.parent, page_size=page_size, filter=asked, standing=standing)
        return at.ask(lambda desk: desk.queue.ListQueueEntries(request))
    question = ListGroupQueueEntriesRequest(parent=ANY_UNIT, page_size=page_size, filter=asked, standing=standing)
    headquarters = At(HEADQUARTERS, at.person, at.group, at.as_json)
    return headquarters.ask(lambda desk: desk.group.ListGroupQueueEntries(question))


def _watch(at: At, asked: rpc.QueueFilter, page_size: int, everywhere: bool) -> None:
    """Show the queue until Ctrl-C: in its place on a terminal, otherwise each time anew."""
    with suppress(KeyboardInterrupt), ExitStack() as shown:
        show: Callable[[Group], object] = output.console.print
        if output.console.is_terminal:
            live = shown.enter_context(Live(console=output.console, auto_refresh=False, screen=True))
            show = partial(live.update, refresh=True)
        while True:
            due, standing = (_ask(at, asked, page_size, everywhere, standing=standing) for standing in (False, True))
            show(_screen(due, standing))
            time.sleep(REFRESH_SECONDS)


def _screen(due: Found, standing: Found) -> Group:
    now = datetime.now(UTC)
    count = due.count
    summary = f"{count.overdue} overdue, {count.running} running, {count.standing} standing, at {now:%H:%M:%S} UTC"
    columns = ["runs out", "clock", "used", "ticket", "priority", "tier", "held by", "agent", "title"]
    running = _table("Queue", columns, [_row(entry, _left(entry, now)) for entry in due.entries])
    parts: list[Text | Table] = [Text(summary, "dim"), running if due.entries else Text("Nothing runs")]
    if standing.entries:
        waits = [_row(entry, Text(_waits(entry), "dim")) for entry in standing.entries]
        parts.append(_table("Standing", ["", *columns[1:]], waits))
    unreachable = [output.unit(unit) for unit in getattr(due, "unreachable", ())]
    if unreachable:
        parts.append(Text(f"may be out of date, no link: {', '.join(unreachable)}", "yellow"))
    return Group(*parts)


def _waits(entry: rpc.QueueEntry) -> str:
    if entry.clock.state == pb.Clock.SUSPENDED:
        return "suspended"
    return f"waits for {entry.waiting_for}" if entry.waiting_for else "stands"


def _table(title: str, columns: list[str], rows: list[list[Text]]) -> Table:
    view = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        view.add_column(column, overflow="fold")
    for row in rows:
        view.add_row(*row)
    return view


def _row(entry: rpc.QueueEntry, first: Text) -> list[Text]:
    clock = entry.clock
    used = clock.used_duration.ToTimedelta() / clock.target_duration.ToTimedelta()
    cells = (
        in_words(pb.Clock.Kind, clock.kind),
        f"{used:.0%}" if clock.HasField("used_duration") else "–",
        entry.ticket,
        name_of(pb.Priority, entry.priority),
        str(entry.tier),
        output.unit(entry.holder),
        _who(entry),
        entry.title or "–",
    )
    return [first, *map(Text, cells)]


def _who(entry: rpc.QueueEntry) -> str:
    """Return who works on a ticket: the agent with the team, or the team alone while nobody of it is there."""
    agent, team = (name.rsplit("/", 1)[-1] for name in (entry.assignee, entry.team))
    return f"{agent} ({team})" if agent and team else agent or (f"({team})" if team else "–")


def _left(entry: rpc.QueueEntry, now: datetime) -> Text:
    """Return how long it is until a clock runs out, or how long ago it did."""
    left = instant(entry.clock.due_time) - now
    length = str(abs(left)).split(".", 1)[0]
    if left <= timedelta(0):
        return Text(f"{length} ago", "bold red")
    return Text(f"in {length}", "yellow" if left < SOON else "")
