"""`hanse policy`: the group's standards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from hanse.cli import output, policy_draft, policy_explain, policy_tuning, policy_what_if
from hanse.cli.connection import At, command
from hanse.cli.desk import Desk
from hanse.cli.instants import INSTANT_FORMATS, in_utc
from hanse.cli.policy_draft import read_document
from hanse.clock import utc_now
from hanse.policy import diff, dump_yaml, lint
from hanse.policy.diff import dropped
from hanse.times import instant, put_time
from hanse_protos.federation.v1.group_pb2 import ListUnitsRequest, ListUnitsResponse
from hanse_protos.policy.v1 import policy_pb2 as pb
from hanse_protos.policy.v1.tuning_pb2 import TunePolicyRequest

app = typer.Typer(help="Check, publish and show the group policy.", no_args_is_help=True)

app.add_typer(policy_draft.app, name="draft")

FileArgument = Annotated[Path, typer.Argument(help="A policy document in YAML.", exists=True, dir_okay=False)]
BROKEN = 1
CURRENT = "current"


@app.command("lint")
def lint_file(file: FileArgument) -> None:
    """Check a document, without a server. What is hardly meant is a warning, and can be published."""
    document = read_document(file)
    problems = lint(document)
    for problem in problems:
        output.print_error(problem.message, "", problem.path)
    if problems:
        raise typer.Exit(BROKEN)
    policy_draft.warn(document)
    output.console.print(f"{file} holds together")


@command(app, "diff", unit="hq")
def show_difference(
    at: At,
    before: Annotated[str, typer.Argument(help="A file, a version such as 3, or current.")],
    after: Annotated[str, typer.Argument(help="Likewise.")],
) -> None:
    """Show what differs between two documents, place by place; warn of what tickets under way may need."""
    old, new = _document(at, before), _document(at, after)
    differences = diff(old, new)
    if at.as_json:
        output.print_json({"differences": [asdict(difference) for difference in differences]})
    elif differences:
        rows = ((difference.path, difference.before, difference.after) for difference in differences)
        output.table(f"From {before} to {after}", ["place", "before", "after"], rows)
    else:
        output.console.print(f"{before} and {after} say the same")
    for warning in dropped(old, new):
        output.print_warning(warning.message, warning.path)


def _document(at: At, named: str) -> pb.PolicyDocument:
    """Return a document by its file's name, or by its version as the unit has it."""
    if not named.isdigit() and named != CURRENT:
        return read_document(Path(named))
    policy: pb.Policy = at.ask(lambda desk: desk.policies.GetPolicy(pb.GetPolicyRequest(name=f"policies/{named}")))
    return policy.document


@command(app, "explain", unit="shanghai")
def explain(
    at: At,
    ticket: Annotated[str, typer.Argument(help="The ticket's name, or its id.")],
    time: Annotated[
        datetime | None,
        typer.Option("--at", help="Say what governed it then, UTC; now where left out.", formats=INSTANT_FORMATS),
    ] = None,
) -> None:
    """Explain what governs a ticket: the version, which rules apply, when each clock ran and stood."""
    answer = policy_explain.explain_ticket(at, ticket, in_utc(time))
    if at.as_json:
        output.print_json(policy_explain.as_dict(answer))
    else:
        policy_explain.show(answer)


@command(app, "status", unit="hq")
def show_status(at: At) -> None:
    """Show which version headquarters published last, and which one each unit has acknowledged."""

    async def ask(desk: Desk) -> tuple[pb.ListPoliciesResponse, ListUnitsResponse]:
        policies = await desk.policies.ListPolicies(pb.ListPoliciesRequest(page_size=1))
        return policies, await desk.group.ListUnits(ListUnitsRequest())

    policies, group = at.ask(ask)
    newest = policies.policies[0].version if policies.policies else 0
    if at.as_json:
        acknowledged = {unit.unit: unit.policy_version for unit in group.units}
        overrides = {unit.unit: output.as_dict(unit.override) for unit in group.units if unit.HasField("override")}
        output.print_json({"published": newest, "acknowledged": acknowledged, "overrides": overrides})
        return
    rows = (
        (
            output.unit(unit.unit),
            str(unit.policy_version or "none"),
            output.yes_no(unit.policy_version == newest, "yes", "not yet"),
            output.yes_no(unit.reachable),
            policy_tuning.in_words(unit.override),
        )
        for unit in group.units
    )
    columns = ["unit", "acknowledged", "has it", "reachable", "has tuned"]
    output.table(f"Version {newest} is published{_in_force_from(policies.policies)}", columns, rows)
    tuned = (
        (output.unit(unit.unit), problem.path, problem.message)
        for unit in group.units
        for problem in unit.override.dropped
    )
    if any(unit.override.dropped for unit in group.units):
        output.table("Dropped of what units have tuned", ["unit", "place", "why"], tuned)


def _in_force_from(newest: Sequence[pb.Policy]) -> str:
    """Say from when on the newest version is in force, where its time has yet to come."""
    times = [policy.effective_time for policy in newest if policy.HasField("effective_time")]
    return "".join(f", in force from {output.when(time)} UTC" for time in times if instant(time) > utc_now())


@command(app, "what-if", unit="hq")
def what_if(
    at: At,
    file: FileArgument,
    since: policy_what_if.SinceOption = None,
    home: policy_what_if.HomeOption = "",
    every_ticket: policy_what_if.AllOption = False,
) -> None:
    """Lay a document over the group's real tickets: which would have been late, climbed or been asked of others."""
    answer = policy_what_if.ask(at, read_document(file), since, home)
    if at.as_json:
        summaries, differences = map(output.as_dict, answer.summaries), map(output.as_dict, answer.differences)
        output.print_json({"units": list(summaries), "tickets": list(differences)})
    else:
        policy_what_if.show(answer, every_ticket=every_ticket)


@command(app, "publish", unit="hq")
def publish(
    at: At,
    file: FileArgument,
    effective: policy_draft.FromOption = None,
    supersede: policy_draft.SupersedeOption = False,
) -> None:
    """Publish the first version from headquarters to every unit, or the next one where it needs no review.

    Whether it does is said by the version before it (reviews_required): hanse policy draft --help.
    """
    request = pb.PublishPolicyRequest(document=read_document(file), request_id=str(uuid4()), supersede=supersede)
    put_time(request.effective_time, in_utc(effective))
    policy = at.ask(lambda desk: desk.policies.PublishPolicy(request))
    if at.as_json:
        output.print_json(policy)
    else:
        output.console.print(f"{policy.name} is published; `hanse status` shows who has acknowledged it")
    policy_draft.warn(request.document)


@command(app, "tune", unit="shanghai")
def tune(at: At, file: FileArgument) -> None:
    """Change the policy for one unit, within the group's bounds. An empty document ({}) takes the change back."""
    request = TunePolicyRequest(document=policy_tuning.read_override(file), request_id=str(uuid4()))
    override = at.ask(lambda desk: desk.policy_tuning.TunePolicy(request))
    if at.as_json:
        output.print_json(override)
    else:
        policy_tuning.show_submitted(override)


@command(app, "tuning", unit="shanghai")
def show_tuning(at: At) -> None:
    """Show what a unit has changed of the policy for itself, and which places the version in force drops."""
    override = policy_tuning.newest_override(at)
    if at.as_json:
        output.print_json(override or {})
    elif override:
        policy_tuning.show(override)
    else:
        output.console.print(f"{at.unit} has changed nothing for itself")


@command(app, "services", unit="shanghai")
def show_services(
    at: At, language: Annotated[str, typer.Option(help="The language of titles and scopes, where there is one.")] = "en"
) -> None:
    """Show the service catalogue: what can be had, who answers for it, what is promised, and what it costs."""
    request = pb.GetPolicyRequest(name=f"policies/{CURRENT}")
    document: pb.PolicyDocument = at.ask(lambda desk: desk.policies.GetPolicy(request)).document
    if at.as_json:
        output.print_json({"services": [output.as_dict(service) for service in document.services]})
        return
    rows = (
        (
            service.id,
            service.titles.get(language, ""),
            service.scopes.get(language, ""),
            output.unit(service.owner),
            ", ".join(service.categories) or "any",
            ", ".join(service.targets) or "as for all",
            output.money(service.cost),
        )
        for service in document.services
    )
    columns = ["service", "title", "scope", "owner", "categories", "targets", "costs"]
    output.table("Service catalogue", columns, rows)


@command(app, "show", unit="hq")
def show(at: At, version: Annotated[str, typer.Argument(help="A version, or current.")] = CURRENT) -> None:
    """Show a version of the policy as a unit has it."""
    request = pb.GetPolicyRequest(name=f"policies/{version}")
    policy = at.ask(lambda desk: desk.policies.GetPolicy(request))
    if at.as_json:
        output.print_json(policy)
        return
    output.console.print(f"# {policy.name}, published {output.when(policy.publish_time)} UTC by {policy.publisher}")
    if policy.HasField("effective_time"):
        output.console.print(f"# in force from {output.when(policy.effective_time)} UTC")
    print(dump_yaml(policy.document))
