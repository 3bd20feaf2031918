"""`hanse ledger`: what units owe each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hanse.cli import output
from hanse.cli.connection import (
    DEFAULT_FOLDER,
    GroupOption,
    JsonOption,
    PersonOption,
    UnitOption,
    ask,
    resource_name,
)
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.settlement.v1 import settlement_pb2 as pb

app = typer.Typer(help="Statements, charges and entries.", no_args_is_help=True)


@app.command("statement")
def statement(
    units: Annotated[
        list[str] | None, typer.Argument(help="The units; shanghai and munich where none is named.")
    ] = None,
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Show what stands between units, from each side."""
    for unit in units or ["shanghai", "munich"]:
        reply = _statement_of(unit, person, group)
        if as_json:
            output.print_json(reply)
        else:
            show_statement(reply)


def _statement_of(unit: str, person: str, group: Path) -> pb.Statement:
    request = pb.GetStatementRequest(parent=resource_name(unit))
    reply: pb.Statement = ask(group, unit, person, lambda desk: desk.settlement.GetStatement(request))
    return reply


def show_statement(reply: pb.Statement) -> None:
    """Print a statement for people."""
    rows = (
        (
            output.unit(line.counterparty),
            output.money(line.receivable),
            output.money(line.payable),
            output.money(line.net),
            str(line.charges),
        )
        for line in reply.lines
    )
    balanced = "debits = credits" if reply.balanced else "NOT BALANCED"
    title = f"Statement of {output.unit(reply.unit)} ({balanced})"
    output.table(title, ["with", "receivable", "payable", "net", "charges"], rows)


@app.command("charges")
def charges(
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List a unit's charges."""
    request = pb.ListChargesRequest(parent=resource_name(unit))
    reply = ask(group, unit, person, lambda desk: desk.settlement.ListCharges(request))
    if as_json:
        output.print_json(reply)
        return
    rows = (
        (charge.name, pb.Leg.Name(charge.leg), output.money(charge.amount), charge.rate, f"v{charge.policy_version}")
        for charge in reply.charges
    )
    output.table(f"Charges of {unit}", ["charge", "leg", "amount", "rate", "policy"], rows)


@app.command("entries")
def entries(
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List the entries of a unit's ledger."""
    request = pb.ListLedgerEntriesRequest(parent=resource_name(unit))
    reply = ask(group, unit, person, lambda desk: desk.settlement.ListLedgerEntries(request))
    if as_json:
        output.print_json(reply)
        return
    rows = (
        (
            output.when(entry.post_time),
            entry.account,
            output.money(entry.debit),
            output.money(entry.credit),
            entry.charge,
        )
        for entry in reply.entries
    )
    output.table(f"Ledger of {unit}", ["posted (UTC)", "account", "debit", "credit", "charge"], rows)


@app.command("matches")
def matches(
    person: PersonOption = "operator", group: GroupOption = DEFAULT_FOLDER, as_json: JsonOption = False
) -> None:
    """Show headquarters' check: both legs of every charge."""
    request = group_pb2.ListMatchedChargesRequest()
    reply = ask(group, "hq", person, lambda desk: desk.group.ListMatchedCharges(request))
    if as_json:
        output.print_json(reply)
        return
    rows = (
        (
            charge.charge,
            output.unit(charge.home),
            output.unit(charge.provider),
            output.money(charge.payable),
            output.money(charge.receivable),
            group_pb2.MatchState.Name(charge.state),
        )
        for charge in reply.charges
    )
    output.table("Charges of the group", ["charge", "home", "provider", "payable", "receivable", "state"], rows)
