"""`hanse policy tune` and `tuning`: what a unit changes of the policy for itself."""

from __future__ import annotations

from pathlib import Path

from hanse.cli import output
from hanse.cli.connection import At
from hanse.errors import InvalidArgument
from hanse.policy import dump_yaml, load_override_yaml
from hanse_protos.policy.v1 import tuning_pb2 as pb


def read_override(file: Path) -> pb.OverrideDocument:
    """Read an override in YAML. Raises PolicyInvalid where it is none, InvalidArgument where there is no such file."""
    try:
        return load_override_yaml(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file} can't be read: {error}", hint="Name a file with an override in YAML.") from error


def newest_override(at: At) -> pb.PolicyOverride | None:
    """Return what the unit has tuned last; None where it never did."""
    reply = at.ask(lambda desk: desk.policy_tuning.ListPolicyOverrides(pb.ListPolicyOverridesRequest(page_size=1)))
    return next(iter(reply.overrides), None)


def show_submitted(override: pb.PolicyOverride) -> None:
    """Print what came of an override that was just submitted."""
    if override.document.ListFields():
        output.console.print(f"{override.name} is in force for tickets that are opened from now on")
    else:
        output.console.print(f"{override.name} takes everything back: the group's values apply from now on")


def show(override: pb.PolicyOverride) -> None:
    """Print an override for people, with what of it does not hold."""
    output.console.print(
        f"# {override.name}, by {output.who(override.submitter)}, since {output.when(override.submit_time)} UTC"
    )
    if override.document.ListFields():
        print(dump_yaml(override.document))
    else:
        output.console.print("# it changes nothing: the group's values apply")
    rows = ((problem.path, problem.message) for problem in override.dropped)
    if override.dropped:
        output.table("Dropped: here the group's values apply", ["place", "why"], rows)


def in_words(override: pb.PolicyOverride) -> str:
    """Say in a few words what a unit has tuned."""
    if not override.version:
        return "nothing"
    places = ", ".join(field.name for field, _ in override.document.ListFields()) or "nothing"
    return f"{override.version}: {places}"
