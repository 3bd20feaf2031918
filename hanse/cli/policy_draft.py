"""`hanse policy draft`: how the next version of the group's standards comes to be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.cli.desk import Desk
from hanse.cli.instants import INSTANT_FORMATS, in_utc
from hanse.enums import name_of
from hanse.errors import InvalidArgument
from hanse.policy import dump_yaml, load_yaml
from hanse.policy.reach import warnings
from hanse.times import put_time
from hanse_protos.policy.v1 import draft_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import PolicyDocument

app = typer.Typer(help="Write the next version of the policy, and have it reviewed.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="A policy document in YAML.", exists=True, dir_okay=False)]
DraftArgument = Annotated[str, typer.Argument(help="policyDrafts/…, or its last part.")]
NoteOption = Annotated[str, typer.Option("--note", help="What you have to say to it.")]

FromOption = Annotated[
    datetime | None,
    typer.Option("--from", help="In force from then on, UTC; at once where left out.", formats=INSTANT_FORMATS),
]


SupersedeOption = Annotated[
    bool, typer.Option("--supersede", help="Also where a version that waits for its time would never be in force then.")
]


def read_document(file: Path) -> PolicyDocument:
    """Read a document in YAML. Raises PolicyInvalid where it is none, InvalidArgument where there is no such file."""
    try:
        return load_yaml(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file} can't be read: {error}", hint="Name a file with a policy in YAML.") from error


def warn(document: PolicyDocument) -> None:
    """Print what is hardly meant in a document that the server has found nothing wrong with."""
    for warning in warnings(document):
        output.print_warning(warning.message, warning.path)


def _name(draft: str) -> str:
    return draft if "/" in draft else f"policyDrafts/{draft}"


def _tell(at: At, call: Callable[[Desk], Awaitable[Any]], happened: str) -> None:
    """Call headquarters, and print what has become of the draft."""
    draft: pb.PolicyDraft = at.ask(call)
    if at.as_json:
        output.print_json(draft)
        return
    state = name_of(pb.PolicyDraft.State, draft.state)
    output.console.print(Text.assemble((draft.name, "bold"), f" {happened}: ", (state, "cyan")))
    if draft.policy:
        output.console.print(f"it is {draft.policy}; `hanse status` shows who has acknowledged it")


@command(app, "create", unit="hq")
def create(at: At, file: FileArgument) -> None:
    """Begin a draft from a file."""
    request = pb.CreatePolicyDraftRequest(document=read_document(file), request_id=str(uuid4()))
    _tell(at, lambda desk: desk.policy_drafts.CreatePolicyDraft(request), "is begun")
    warn(request.document)


@command(app, "update", unit="hq")
def update(at: At, draft: DraftArgument, file: FileArgument) -> None:
    """Replace what a draft says by what a file says, on the newest version."""
    document = read_document(file)
    request = pb.UpdatePolicyDraftRequest(name=_name(draft), document=document, request_id=str(uuid4()))
    _tell(at, lambda desk: desk.policy_drafts.UpdatePolicyDraft(request), "is written anew")
    warn(document)


@command(app, "submit", unit="hq")
def submit(at: At, draft: DraftArgument) -> None:
    """Hand a draft in for review."""
    request = pb.SubmitPolicyDraftRequest(name=_name(draft), request_id=str(uuid4()))
    _tell(at, lambda desk: desk.policy_drafts.SubmitPolicyDraft(request), "is handed in")


@command(app, "approve", unit="hq")
def approve(at: At, draft: DraftArgument, note: NoteOption = "") -> None:
    """Approve of a draft that you did not write on."""
    request = pb.ApprovePolicyDraftRequest(name=_name(draft), note=note, request_id=str(uuid4()))
    _tell(at, lambda desk: desk.policy_drafts.ApprovePolicyDraft(request), "is approved")


@command(app, "return", unit="hq")
def return_draft(
    at: At, draft: DraftArgument, note: Annotated[str, typer.Option("--note", help="What has to change.")]
) -> None:
    """Send a draft back to its writers."""
    request = pb.ReturnPolicyDraftRequest(name=_name(draft), note=note, request_id=str(uuid4()))
    _tell(at, lambda desk: desk.policy_drafts.ReturnPolicyDraft(request), "is sent back")


@command(app, "publish", unit="hq")
def publish(at: At, draft: DraftArgument, effective: FromOption = None, supersede: SupersedeOption = False) -> None:
    """Publish an approved draft as the next version."""
    request = pb.PublishPolicyDraftRequest(name=_name(draft), request_id=str(uuid4()), supersede=supersede)
    put_time(request.effective_time, in_utc(effective))
    _tell(at, lambda desk: desk.policy_drafts.PublishPolicyDraft(request), "is published")


@command(app, "withdraw", unit="hq")
def withdraw(at: At, draft: DraftArgument) -> None:
    """Give a draft up."""
    request = pb.WithdrawPolicyDraftRequest(name=_name(draft), request_id=str(uuid4()))
    _tell(at, lambda desk: desk.policy_drafts.WithdrawPolicyDraft(request), "is given up")


@command(app, "list", unit="hq")
def list_drafts(at: At) -> None:
    """List the drafts, the newest first."""
    reply = at.ask(lambda desk: desk.policy_drafts.ListPolicyDrafts(pb.ListPolicyDraftsRequest()))
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (
            draft.name,
            name_of(pb.PolicyDraft.State, draft.state),
            str(draft.base_version),
            ", ".join(output.who(writer) for writer in draft.writers),
            output.who(draft.reviewer),
            output.when(draft.update_time),
            draft.policy,
        )
        for draft in reply.drafts
    )
    output.table("Drafts", ["draft", "state", "on version", "writers", "reviewer", "changed, UTC", "became"], rows)


@command(app, "show", unit="hq")
def show(at: At, draft: DraftArgument) -> None:
    """Show a draft; with `hanse policy diff current FILE` one sees what it changes."""
    reply = at.ask(lambda desk: desk.policy_drafts.GetPolicyDraft(pb.GetPolicyDraftRequest(name=_name(draft))))
    if at.as_json:
        output.print_json(reply)
        return
    state = name_of(pb.PolicyDraft.State, reply.state)
    output.console.print(f"# {reply.name}, {state}, on version {reply.base_version}, by {', '.join(reply.writers)}")
    if reply.reviewer:
        output.console.print(f"# reviewed by {reply.reviewer}: {reply.review_note}")
    print(dump_yaml(reply.document))
