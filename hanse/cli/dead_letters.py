"""`hanse dead-letters`: what the reactions of a unit could not apply, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated
from uuid import uuid4

import typer
from google.protobuf.message import Message
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.cli.desk import Desk
from hanse.enums import name_of
from hanse.errors import ResourceNotFound
from hanse.log.events import readable_payload_of, short_type
from hanse_protos.telling.v1 import dead_letters_pb2 as pb

app = typer.Typer(help="Show, retry and discard what reactions could not apply.", no_args_is_help=True)

PAGE_SIZE = 1_000
MAX_ERROR_CHARACTERS = 100
"""How much of an error stands in the table; `show` has all of it."""
STYLES = {pb.WAITING: "red", pb.HELD: "yellow", pb.APPLIED: "green", pb.DISCARDED: "dim"}

ServiceOption = Annotated[str, typer.Option("--service", "-s", help="The service that was told, for example ticket.")]
LetterArgument = Annotated[str, typer.Argument(help="The letter's full name, or the beginning of its event's id.")]


@command(app, "list", unit="shanghai")
def list_letters(
    at: At,
    service: ServiceOption = "-",
    resolved: Annotated[bool, typer.Option("--all", help="Also those that were applied or discarded.")] = False,
) -> None:
    """List the dead letters of a unit, service by service, in the order in which they were told."""
    letters = at.ask(lambda desk: _letters(desk, f"{at.parent}/services/{service}", show_resolved=resolved))
    if at.as_json:
        output.print_json({"dead_letters": [output.as_dict(letter) for letter in letters]})
        return
    columns = ["event", "reaction", "type", "about", "state", "tries", "since (UTC)", "trace", "error"]
    output.table(f"Dead letters in {at.unit}", columns, (_row(letter) for letter in letters))


def _row(letter: pb.DeadLetter) -> list[str | Text]:
    return [
        letter.event_id,
        letter.reaction,
        short_type(letter.event_type) or "no event",
        letter.resource,
        _state(letter),
        str(letter.tries),
        output.when(letter.create_time),
        letter.trace_id,
        letter.error[:MAX_ERROR_CHARACTERS],
    ]


def _state(letter: pb.DeadLetter) -> Text:
    return Text(name_of(pb.DeadLetterState, letter.state), STYLES.get(letter.state, ""))


async def _letters(desk: Desk, parent: str, *, show_resolved: bool) -> list[pb.DeadLetter]:
    """Return all letters of a parent."""
    letters: list[pb.DeadLetter] = []
    request = pb.ListDeadLettersRequest(parent=parent, page_size=PAGE_SIZE, show_resolved=show_resolved)
    while True:
        page = await desk.dead_letters.ListDeadLetters(request)
        letters += page.dead_letters
        if not page.next_page_token:
            return letters
        request.page_token = page.next_page_token


async def _names(desk: Desk, at: At, said: Iterable[str]) -> list[str]:
    """Return the full names of the letters that were named by the beginning of an id. Raises ResourceNotFound."""
    asked = list(said)
    if all("/" in each for each in asked):
        return asked
    known = await _letters(desk, f"{at.parent}/services/-", show_resolved=True)
    return [name for each in asked for name in _matching(each, known)]


def _matching(said: str, known: list[pb.DeadLetter]) -> Iterator[str]:
    if "/" in said:
        yield said
        return
    found = [letter.name for letter in known if letter.event_id.startswith(said)]
    if not found:
        raise ResourceNotFound(hint="`hanse dead-letters list --all` shows what there is.", resource=said)
    yield from found


@command(app, "show", unit="shanghai")
def show(at: At, letter: LetterArgument) -> None:
    """Show a dead letter with its event. Sealed texts are not shown."""

    async def ask(desk: Desk) -> list[pb.DeadLetter]:
        return [
            await desk.dead_letters.GetDeadLetter(pb.GetDeadLetterRequest(name=name))
            for name in await _names(desk, at, [letter])
        ]

    for found in at.ask(ask):
        payload = _payload(found)
        if at.as_json:
            output.print_json(output.as_dict(found) | ({"payload": output.as_dict(payload)} if payload else {}))
        else:
            _show(found, payload)


def _payload(letter: pb.DeadLetter) -> Message | None:
    return readable_payload_of(letter.event) if letter.HasField("event") else None


def _show(letter: pb.DeadLetter, payload: Message | None) -> None:
    output.console.print(Text.assemble((letter.name, "bold"), " ", _state(letter)))
    lines = {
        "event": f"{letter.event_type or 'none'} {letter.event_id}",
        "about": letter.resource,
        "from": f"{letter.stream} {letter.sequence}",
        "happened": output.when(letter.occur_time),
        "since": output.when(letter.create_time),
        "tries": f"{letter.tries}, the last at {output.when(letter.last_try_time)}",
        "trace": letter.trace_id,
        "error": letter.error,
        "resolved": f"{output.when(letter.resolve_time)} by {output.who(letter.resolver)}" if letter.resolver else "",
        "reason": letter.reason,
    }
    for name, value in lines.items():
        if value:
            output.console.print(Text.assemble((f"  {name:9}", "dim"), value))
    if payload:
        output.print_json(payload)


@command(app, "retry", unit="shanghai")
def retry(
    at: At,
    letters: Annotated[list[str] | None, LetterArgument.__metadata__[0]] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter that waits, in order.")] = False,
    service: ServiceOption = "-",
) -> None:
    """Apply dead letters now, and what is held behind them. Exits with 1 where one fails again."""

    async def ask(desk: Desk) -> list[pb.DeadLetter]:
        if everything:
            waiting = await _letters(desk, f"{at.parent}/services/{service}", show_resolved=False)
            names = [letter.name for letter in waiting if letter.state == pb.WAITING]
        else:
            names = await _names(desk, at, letters or ())
        return [
            await desk.dead_letters.RetryDeadLetter(pb.RetryDeadLetterRequest(name=name, request_id=str(uuid4())))
            for name in names
        ]

    if not letters and not everything:
        raise typer.BadParameter("name the letters, or say --all")
    tried = at.ask(ask)
    _show_outcome(at, tried)
    if any(letter.state != pb.APPLIED for letter in tried):
        raise typer.Exit(1)


@command(app, "discard", unit="shanghai")
def discard(
    at: At,
    letters: Annotated[list[str], LetterArgument.__metadata__[0]],
    reason: Annotated[str, typer.Option("--reason", help="Why they may have no effect here; it is kept.")],
) -> None:
    """Put dead letters aside for good, and apply what is held behind them."""

    async def ask(desk: Desk) -> list[pb.DeadLetter]:
        return [
            await desk.dead_letters.DiscardDeadLetter(
                pb.DiscardDeadLetterRequest(name=name, reason=reason, request_id=str(uuid4()))
            )
            for name in await _names(desk, at, letters)
        ]

    _show_outcome(at, at.ask(ask))


def _show_outcome(at: At, letters: list[pb.DeadLetter]) -> None:
    if at.as_json:
        output.print_json({"dead_letters": [output.as_dict(letter) for letter in letters]})
        return
    for letter in letters:
        output.console.print(
            Text.assemble(letter.name, " ", _state(letter), f" {letter.error}" * (not letter.resolver))
        )
    if not letters:
        output.console.print("No dead letter waits.")
