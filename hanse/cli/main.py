"""The `hanse` command."""

from __future__ import annotations

import sys

import grpc
import typer
from pydantic import ValidationError

from hanse.cli import (
    article,
    attainment,
    complaint,
    customer,
    dead_letters,
    engagement,
    escalation,
    group,
    ledger,
    link,
    log_commands,
    partner,
    policy,
    queue,
    replay,
    status,
    stream,
    team,
    ticket,
    unit,
    workflow,
)
from hanse.cli.output import print_error
from hanse.errors import HanseError
from hanse.rpc.client import RemoteError, remote_error

app = typer.Typer(
    name="hanse",
    help="A group-wide, federated service hub. `hanse demo` shows the whole job; `hanse up` keeps a group running.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
group.register(app)
status.register(app)
link.register(app)
queue.register(app)
attainment.register(app)
app.add_typer(ticket.app, name="ticket")
app.add_typer(customer.app, name="customer")
app.add_typer(engagement.app, name="engagement")
app.add_typer(team.app, name="team")
app.add_typer(escalation.app, name="escalation")
app.add_typer(complaint.app, name="complaint")
app.add_typer(article.app, name="article")
app.add_typer(policy.app, name="policy")
app.add_typer(ledger.app, name="ledger")
app.add_typer(partner.app, name="partner")
app.add_typer(unit.app, name="unit")
app.add_typer(log_commands.app, name="log")
app.add_typer(stream.app, name="stream")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(workflow.app, name="workflow")
replay.register(app)

FAILED = 1
USAGE = 2


def main() -> None:
    """Run the command line; print what goes wrong as a message, never as a trace."""
    try:
        app()
    except (HanseError, RemoteError) as error:
        print_error(str(error), error.hint, error.reason)
        sys.exit(FAILED)
    except grpc.RpcError as error:
        remote = remote_error(error)
        print_error(str(remote), remote.hint, remote.reason)
        sys.exit(FAILED)
    except ValidationError as error:
        print_error(f"the settings are not complete: {error}", "See docs/reference/settings.md.", "SETTINGS_INVALID")
        sys.exit(USAGE)


if __name__ == "__main__":
    main()
