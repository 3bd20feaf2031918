"""`hanse ledger`: what units owe each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.enums import name_of
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.settlement.v1 import settlement_pb2 as pb

app = typer.Typer(help="Statements, charges and entries.", no_args_is_help=True)


@command(app, "statement", unit="shanghai")
def statement(
    at: At,
    units: Annotated[list[str] | None, typer.Argument(help="The units; that of --unit where none is named.")] = None,
) -> None:
    """Show what stands between units, from each side."""
    for unit in units or [at.unit]:
        reply = _statement_of(replace(at, unit=unit))
        if at.as_json:
            output.print_json(reply)
        else:
            show_statement(reply)


def _statement_of(at: At) -> pb.Statement:
    request = pb.GetStatementRequest(parent=at.parent)
    reply: pb.Statement = at.ask(lambda desk: desk.settlement.GetStatement(request))
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


@command(app, "charges", unit="shanghai")
def charges(at: At) -> None:
    """List a unit's charges."""
    request = pb.ListChargesRequest(parent=at.parent)
    reply = at.ask(lambda desk: desk.settlement.ListCharges(request))
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (
            charge.name,
            name_of(pb.Leg, charge.leg),
            output.money(charge.amount),
            charge.rate,
            output.policy(charge.policy_version),
        )
        for charge in reply.charges
    )
    output.table(f"Charges of {at.unit}", ["charge", "leg", "amount", "rate", "policy"], rows)


@command(app, "entries", unit="shanghai")
def entries(at: At) -> None:
    """List the entries of a unit's ledger."""
    request = pb.ListLedgerEntriesRequest(parent=at.parent)
    reply = at.ask(lambda desk: desk.settlement.ListLedgerEntries(request))
    if at.as_json:
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
    output.table(f"Ledger of {at.unit}", ["posted (UTC)", "account", "debit", "credit", "charge"], rows)


@command(app, "matches", unit="hq")
def matches(at: At) -> None:
    """Show headquarters' check: both legs of every charge."""
    request = group_pb2.ListMatchedChargesRequest()
    reply = at.ask(lambda desk: desk.group.ListMatchedCharges(request))
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (
            charge.charge,
            output.unit(charge.home),
            output.unit(charge.provider),
            output.money(charge.payable),
            output.money(charge.receivable),
            name_of(group_pb2.MatchState, charge.state),
        )
        for charge in reply.charges
    )
    output.table("Charges of the group", ["charge", "home", "provider", "payable", "receivable", "state"], rows)
