"""What writers and reviewers of the group's standards may do, at headquarters: draft, review, publish."""

from sqlalchemy import select

from hanse.errors import HeadquartersOnly, PolicyDraftOutdated, ResourceNotFound, ReviewerIsAuthor
from hanse.etags import check_etag
from hanse.names import HEADQUARTERS, new_id
from hanse.work import Work
from hanse_protos.policy.v1 import draft_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import PolicyDocument
from hanse_services.policy.commands import check_document, newest_version, publish
from hanse_services.policy.messages import draft_summary_of, draft_to_proto
from hanse_services.policy.model import Draft


def create_policy_draft(work: Work, request: pb.CreatePolicyDraftRequest) -> pb.PolicyDraft:
    """Begin a draft. Raises HeadquartersOnly, and PolicyInvalid, which names what does not hold together."""
    if work.unit != HEADQUARTERS:
        raise HeadquartersOnly(unit=work.unit)
    check_document(request.document)
    draft = Draft(
        name=f"policyDrafts/{new_id()}",
        revision=1,
        state=pb.PolicyDraft.DRAFT,
        document=request.document.SerializeToString(),
        base_version=newest_version(work.session),
        author=work.cause.actor,
        writers=[work.cause.actor],
        reviewer="",
        review_note="",
        create_time=work.now,
        update_time=work.now,
        policy="",
    )
    work.session.add(draft)
    work.tell(draft.name, pb.PolicyDraftCreated(draft=draft_summary_of(draft)))
    return draft_to_proto(draft)


def update_policy_draft(work: Work, request: pb.UpdatePolicyDraftRequest) -> pb.PolicyDraft:
    """Replace what a draft says; it is based on the newest version then.

    Raises ResourceNotFound, EtagMismatch, IllegalTransition, PolicyInvalid.
    """
    draft = _moved(work, request.name, request.etag, "UpdatePolicyDraft")
    check_document(request.document)
    draft.document = request.document.SerializeToString()
    draft.base_version = newest_version(work.session)
    if work.cause.actor not in draft.writers:
        draft.writers = [*draft.writers, work.cause.actor]
    work.tell(draft.name, pb.PolicyDraftUpdated(draft=draft_summary_of(draft)))
    return draft_to_proto(draft)


def submit_policy_draft(work: Work, request: pb.SubmitPolicyDraftRequest) -> pb.PolicyDraft:
    """Hand a draft in for review. Raises ResourceNotFound, EtagMismatch, IllegalTransition."""
    draft = _moved(work, request.name, request.etag, "SubmitPolicyDraft")
    work.tell(draft.name, pb.PolicyDraftSubmitted(draft=draft_summary_of(draft)))
    return draft_to_proto(draft)


def approve_policy_draft(work: Work, request: pb.ApprovePolicyDraftRequest) -> pb.PolicyDraft:
    """Approve of a draft.

    Raises ReviewerIsAuthor for whoever wrote on it; ResourceNotFound, EtagMismatch, IllegalTransition.
    """
    draft = _moved(work, request.name, request.etag, "ApprovePolicyDraft")
    if work.cause.actor in draft.writers:
        raise ReviewerIsAuthor(resource=draft.name, actor=work.cause.actor)
    _review(work, draft, request.note)
    work.tell(draft.name, pb.PolicyDraftApproved(draft=draft_summary_of(draft)), note=request.note)
    return draft_to_proto(draft)


def return_policy_draft(work: Work, request: pb.ReturnPolicyDraftRequest) -> pb.PolicyDraft:
    """Send a draft back to its writers. Raises ResourceNotFound, EtagMismatch, IllegalTransition."""
    draft = _moved(work, request.name, request.etag, "ReturnPolicyDraft")
    _review(work, draft, request.note)
    work.tell(draft.name, pb.PolicyDraftReturned(draft=draft_summary_of(draft)), note=request.note)
    return draft_to_proto(draft)


def publish_policy_draft(work: Work, request: pb.PublishPolicyDraftRequest) -> pb.PolicyDraft:
    """Publish an approved draft as the next version.

    Raises PolicyDraftOutdated where another version was published since the draft was written: what was reviewed would
    undo it unseen. Raises ValidationFailed for a time that is past; PolicyVersionWaits where a version that waits would
    never be in force; ResourceNotFound, EtagMismatch, IllegalTransition.
    """
    draft = _moved(work, request.name, request.etag, "PublishPolicyDraft")
    newest = newest_version(work.session)
    if draft.base_version != newest:
        raise PolicyDraftOutdated(resource=draft.name, base_version=str(draft.base_version), newest=str(newest))
    policy = publish(work, request, PolicyDocument.FromString(draft.document))
    draft.policy = policy.name
    work.tell(draft.name, pb.PolicyDraftPublished(draft=draft_summary_of(draft), policy=policy.name))
    return draft_to_proto(draft)


def withdraw_policy_draft(work: Work, request: pb.WithdrawPolicyDraftRequest) -> pb.PolicyDraft:
    """Give a draft up. Raises ResourceNotFound, EtagMismatch, IllegalTransition."""
    draft = _moved(work, request.name, request.etag, "WithdrawPolicyDraft")
    work.tell(draft.name, pb.PolicyDraftWithdrawn(draft=draft_summary_of(draft)))
    return draft_to_proto(draft)


def _moved(work: Work, name: str, etag: str, verb: str) -> Draft:
    """Return a draft that has taken a step. Raises ResourceNotFound, EtagMismatch, IllegalTransition."""
    draft = work.session.scalar(select(Draft).where(Draft.name == name).with_for_update())
    if draft is None:
        raise ResourceNotFound(resource=name)
    check_etag(draft.name, draft.etag, etag)
    draft.move(verb)
    draft.revision += 1
    draft.update_time = work.now
    return draft


def _review(work: Work, draft: Draft, note: str) -> None:
    draft.reviewer, draft.review_note = work.cause.actor, note
