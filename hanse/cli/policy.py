"""`hanse policy`: the group's standards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.policy import dump_yaml, lint, load_yaml
from hanse_protos.policy.v1 import policy_pb2 as pb

app = typer.Typer(help="Check, publish and show the group policy.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="A policy document in YAML.", exists=True, dir_okay=False)]
BROKEN = 1


@app.command("lint")
def lint_file(file: FileArgument) -> None:
    """Check a document, without a server."""
    problems = lint(load_yaml(file.read_text()))
    for problem in problems:
        output.print_error(problem.message, "", problem.path)
    if problems:
        raise typer.Exit(BROKEN)
    output.console.print(f"{file} holds together")


@command(app, "publish", unit="hq")
def publish(at: At, file: FileArgument) -> None:
    """Publish the next version from headquarters to every unit."""
    request = pb.PublishPolicyRequest(document=load_yaml(file.read_text()), request_id=str(uuid4()))
    policy = at.ask(lambda desk: desk.policies.PublishPolicy(request))
    if at.as_json:
        output.print_json(policy)
    else:
        output.console.print(f"{policy.name} is published; `hanse status` shows who has acknowledged it")


@command(app, "show", unit="hq")
def show(at: At, version: Annotated[str, typer.Argument(help="A version, or current.")] = "current") -> None:
    """Show a version of the policy as a unit has it."""
    request = pb.GetPolicyRequest(name=f"policies/{version}")
    policy = at.ask(lambda desk: desk.policies.GetPolicy(request))
    if at.as_json:
        output.print_json(policy)
        return
    output.console.print(f"# {policy.name}, published {output.when(policy.publish_time)} UTC by {policy.publisher}")
    print(dump_yaml(policy.document))
