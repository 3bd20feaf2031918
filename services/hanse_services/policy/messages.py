"""From rows to messages: drafts for callers, their summaries for events."""

from hanse.times import timestamp
from hanse_protos.policy.v1.draft_pb2 import PolicyDraft, PolicyDraftSummary
from hanse_protos.policy.v1.policy_pb2 import PolicyDocument
from hanse_services.policy.model import Draft


def draft_to_proto(draft: Draft) -> PolicyDraft:
    """Return a draft with its document."""
    message = draft_overview(draft)
    message.document.CopyFrom(PolicyDocument.FromString(draft.document))
    return message


def draft_overview(draft: Draft) -> PolicyDraft:
    """Return a draft without its document, which may be large."""
    return PolicyDraft(
        name=draft.name,
        etag=draft.etag,
        state=draft.state,
        base_version=draft.base_version,
        author=draft.author,
        writers=draft.writers,
        reviewer=draft.reviewer,
        review_note=draft.review_note,
        create_time=timestamp(draft.create_time),
        update_time=timestamp(draft.update_time),
        policy=draft.policy,
    )


def draft_summary_of(draft: Draft) -> PolicyDraftSummary:
    """Return what every event of a draft carries."""
    return PolicyDraftSummary(name=draft.name, state=draft.state, base_version=draft.base_version)
