"""What the command line prints: tables for people, JSON for programs, errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hanse.names import policy_name, short_unit
from hanse.policy.notation import NANOS_PER_UNIT

# What is printed comes from people and machines, so square brackets in it are square brackets.
console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)


def print_json(*messages: Message | dict[str, Any]) -> None:
    """Print messages as JSON, one after the other, with the contracts' field names."""
    for message in messages:
        content = message if isinstance(message, dict) else as_dict(message)
        print(json.dumps(content, ensure_ascii=False, indent=2))


def as_dict(message: Message) -> dict[str, Any]:
    """Return a message as JSON has it."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table."""
    view = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        view.add_column(column, overflow="fold")
    for row in rows:
        view.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    if view.row_count:
        # As the table's own, a title would be folded to the width of the table.
        console.print(title, style="bold")
        console.print(view)
    else:
        console.print(Text.assemble((title, "bold"), ": none"))


def print_error(message: str, hint: str, reason: str = "") -> None:
    """Print what went wrong, why, and what to do."""
    errors.print(Text.assemble(("error ", "bold red"), (f"{reason}: " if reason else ""), message))
    if hint:
        errors.print(Text.assemble(("  try ", "bold"), hint))


def print_warning(message: str, place: str) -> None:
    """Print what is hardly meant, and where."""
    errors.print(Text.assemble(("warning ", "bold yellow"), f"{place}: ", message))


def when(value: Timestamp) -> str:
    """Return an instant in UTC, to the second; a dash where there is none, a number where no calendar knows it."""
    if not value.seconds:
        return "–"
    try:
        return datetime.fromtimestamp(value.seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{value.seconds} s after 1970"


def seconds(value: Any) -> str:
    """Return a Duration for people, "1:02:03"."""
    total = value.seconds
    return f"{total // 3600}:{total // 60 % 60:02}:{total % 60:02}"


def money(value: Money) -> str:
    """Return an amount for people, "120.00 EUR"."""
    if not value.currency_code:
        return "–"
    return f"{value.units + value.nanos / NANOS_PER_UNIT:,.2f} {value.currency_code}"


def count(number: int, noun: str) -> str:
    """Return "1 record", "2 records"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def unit(name: str) -> str:
    """Return a unit for people."""
    return short_unit(name) if name else "–"


def policy(version: int) -> str:
    """Return a version of the policy for people: "v3", or "own-3" for the third that a unit published for itself."""
    return policy_name(version).removeprefix("policies/") if version < 0 else f"v{version}"


def who(actor: str) -> str:
    """Return an actor for people: "li (shanghai)"."""
    parts = actor.split("/")
    return f"{parts[-1]} ({parts[1]})" if parts[0] == "units" else actor


def yes_no(value: bool, yes: str = "yes", no: str = "no") -> Text:
    """Return a judgement in colour."""
    return Text(yes, "green") if value else Text(no, "red")
