"""Every reason for which Hanse refuses or fails: the one place that knows them.

An error answers three questions: which gRPC code a client reacts to (`code`), which reason a program branches on
(`reason`, `UPPER_SNAKE`, never renamed once released), and what a person should do next (`hint`). Facts about the one
case at hand go into `metadata`. One interceptor turns all four into a status with `google.rpc.ErrorInfo`; no other
code builds a status, and an error that came from a peer is never passed on as our own.

Codes are those of `google.rpc.Code`, the numbers that gRPC uses; gRPC itself is not imported, since processes fail that
must not have it.

The file reads as a table: a family sets the code, and each class below it adds a reason, a message and a hint. Both
texts are defaults that the raiser may replace:

    raise IllegalTransition(ticket=name, verb="ResolveTicket", from_="NEW", to="RESOLVED")

Denied and absent look the same (AIP-211). `RoleMissing` is decided from the caller's roles alone, before anything is
looked up, so it tells nothing about what exists. From the look-up on, a resource that the caller may not see and one
that is not there are both a plain `ResourceNotFound(resource=name)`, whose texts are true of either.
"""

# ruff: noqa: N818 - an error is named for what is wrong, and is only ever read where it is raised or caught.

from __future__ import annotations

from typing import ClassVar

from google.rpc import code_pb2


class HanseError(Exception):
    """The base of every error that Hanse raises on purpose; on its own it stands for a defect of ours."""

    code: ClassVar[int] = code_pb2.INTERNAL
    reason: ClassVar[str] = "INTERNAL"
    message: str = "Something went wrong inside Hanse."
    hint: str = "Try again, and report it with the request id if it happens again."
    metadata: dict[str, str]

    def __init__(self, message: str | None = None, /, *, hint: str | None = None, **metadata: str) -> None:
        """Take the facts of this case as keywords; a trailing underscore, as in `from_`, is dropped from the name."""
        self.message = message or type(self).message
        self.hint = hint or type(self).hint
        self.metadata = {name.rstrip("_"): value for name, value in metadata.items()}
        super().__init__(self.message)


# The request cannot be right, whatever the state of the system.


class InvalidArgument(HanseError):
    code = code_pb2.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"
    message = "The request is not valid."
    hint = "Correct the request; repeating it unchanged cannot help."


class ValidationFailed(InvalidArgument):
    reason = "VALIDATION_FAILED"
    message = "A field of the request breaks a rule of its contract."
    hint = "Correct the fields that are named, and send the request again."


class RevocationListInvalid(InvalidArgument):
    reason = "REVOCATION_LIST_INVALID"
    message = "The list of void certificates was not signed by the group's authority."
    hint = "Look at where it comes from: nothing of it was taken. It has to be all that the authority has revoked."


class RequestIdMissing(InvalidArgument):
    reason = "REQUEST_ID_MISSING"
    message = "The request changes something and has no request id."
    hint = "Set request_id to a new UUID, and keep it when you retry."


class RequestIdReused(InvalidArgument):
    reason = "REQUEST_ID_REUSED"
    message = "This request id was used before, for a request with another body."
    hint = "Repeat the first body to get the first answer, or take a new UUID for the new request."


class PageTokenInvalid(InvalidArgument):
    reason = "PAGE_TOKEN_INVALID"
    message = "The page token does not belong to this query."
    hint = "Start again without a page token, and keep the other fields the same from page to page."


class PolicyInvalid(InvalidArgument):
    reason = "POLICY_INVALID"
    message = "The policy does not hold together."
    hint = "Correct the rule that is named, and publish the policy again."


class CorrectionOutOfTime(InvalidArgument):
    """Raise with `resource`."""

    reason = "CORRECTION_OUT_OF_TIME"
    message = "A correction names a time before the ticket was opened, or in the future."
    hint = "Give the time at which it happened, in UTC, as the ticket's timeline has it."


class CorrectionUnknownStep(InvalidArgument):
    """Raise with `resource`, and with `event_id` where one was given."""

    reason = "CORRECTION_UNKNOWN_STEP"
    message = "A correction names a step that this ticket's clocks do not know."
    hint = "Take the event's id from `hanse ticket explain`; void a correction by its own id, and say it anew."


# Nobody knows who is calling.


class Unauthenticated(HanseError):
    code = code_pb2.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"
    message = "The caller is not known."
    hint = "Sign in, or present valid credentials."


class TokenMissing(Unauthenticated):
    reason = "TOKEN_MISSING"
    message = "The request carries no token."
    hint = "Send 'authorization: Bearer <token>' in the metadata of the call."


class TokenInvalid(Unauthenticated):
    reason = "TOKEN_INVALID"
    message = "The token cannot be read."
    hint = "Sign in again to get a new token."


class TokenSignatureInvalid(Unauthenticated):
    reason = "TOKEN_SIGNATURE_INVALID"
    message = "The token was not signed with this unit's key."
    hint = "Sign in again; if the unit has changed its signing key, every older token is void."


class TokenExpired(Unauthenticated):
    reason = "TOKEN_EXPIRED"
    message = "The token has expired."
    hint = "Sign in again to get a new token."


class TokenForeign(Unauthenticated):
    reason = "TOKEN_FOREIGN"
    message = "The token belongs to another unit."
    hint = "Sign in to this unit, or call the unit that issued the token."


class ApiKeyInvalid(Unauthenticated):
    reason = "API_KEY_INVALID"
    message = "The API key is not known or has been revoked."
    hint = "Ask the unit's operations desk for a new key."


class CertificateInvalid(Unauthenticated):
    reason = "CERTIFICATE_INVALID"
    message = "The certificate does not name exactly one unit of this group."
    hint = "Have the group's certificate authority issue a certificate for the unit."


class CertificateExpired(Unauthenticated):
    """Raise with `unit` and `expire_time`."""

    reason = "CERTIFICATE_EXPIRED"
    message = "The unit's certificate has expired."
    hint = "Have headquarters invite the unit again, and enrol; what the unit did meanwhile is sent then."


class CertificateRefused(Unauthenticated):
    reason = "CERTIFICATE_REFUSED"
    message = "Headquarters did not take the unit's certificate."
    hint = "Check that unit.crt was signed by the group's authority, and the clocks of both machines; or enrol again."


class PeerForeign(Unauthenticated):
    """What answers where a peer should be shows that it is another unit."""

    reason = "PEER_FOREIGN"
    message = "What answers at the address of a peer is another unit."
    hint = "Check the setting `peers`, and the peer's certificate; nothing was sent."


class HubForeign(Unauthenticated):
    """What answers where headquarters should be has no certificate that shows it to be headquarters."""

    reason = "HUB_FOREIGN"
    message = "What answers at the address of headquarters is not headquarters."
    hint = "Check hub_address, authority.crt, and headquarters' certificate; nothing was sent."


class InvitationInvalid(Unauthenticated):
    """One error for an invitation that is unknown, used, expired or another unit's: a guesser learns nothing."""

    reason = "INVITATION_INVALID"
    message = "The invitation is not valid."
    hint = "Ask headquarters for a new one: an invitation works once, for one unit, for a limited time."


class CertificateRevoked(Unauthenticated):
    reason = "CERTIFICATE_REVOKED"
    message = "Headquarters has revoked this certificate."
    hint = "Use the unit's newest certificate; without one, have headquarters invite the unit again."


# We know who is calling, and they may not do this.


class PermissionDenied(HanseError):
    code = code_pb2.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"
    message = "The caller may not do this."
    hint = "Ask the unit's operations desk if you think you should be allowed to."


class RoleMissing(PermissionDenied):
    reason = "ROLE_MISSING"
    message = "The caller has none of the roles that may do this."
    hint = "Ask the unit's operations desk for one of the roles that are named."


class PolicyVersionReserved(PermissionDenied):
    """Raise with `policy`."""

    reason = "POLICY_VERSION_RESERVED"
    message = "A desk's lead puts tickets under the version in force, or under the one that they were opened under."
    hint = "Leave the version out, or name one of these; any other takes the role that sets the standards, STANDARDS."


class LevelAboveCaller(PermissionDenied):
    """Raise with `resource` and `level`."""

    reason = "LEVEL_ABOVE_CALLER"
    message = "This has come to the unit's manager, past the desk's lead."
    hint = "Have the unit's manager do it, whose token has the role MANAGER."


class FrameForeign(PermissionDenied):
    reason = "FRAME_FOREIGN"
    message = "The frame speaks for another unit than the certificate does."
    hint = "Check the unit's name in its settings against the name in its certificate."


class FactForeign(PermissionDenied):
    """An alarm: nobody is refused, since the record is stored and counts for nothing."""

    reason = "FACT_FOREIGN"
    message = "A unit told what is another unit's to tell."
    hint = "Ask the unit what writes to its log; where somebody else has its key, revoke it: `hanse unit revoke`."


class UnitNotAdmitted(PermissionDenied):
    """Raise with `unit`."""

    reason = "UNIT_NOT_ADMITTED"
    message = "The unit is not a member of the group."
    hint = "Have headquarters invite the unit, or admit it where its certificate comes from the group's own PKI."


class UnitRevoked(PermissionDenied):
    """Raise with `unit`."""

    reason = "UNIT_REVOKED"
    message = "Headquarters has shut the unit out."
    hint = "The unit works on by itself; to come back it needs a new invitation from headquarters."


class UnitRetired(PermissionDenied):
    """Raise with `unit`."""

    reason = "UNIT_RETIRED"
    message = "The unit has left the group."
    hint = "The unit works on by itself; to come back it needs a new invitation from headquarters."


class PeerUnknown(PermissionDenied):
    reason = "PEER_UNKNOWN"
    message = "This unit does not take the caller for a peer."
    hint = "The policy in force has to name both as peers, and the setting `peers` of this unit the caller."


class ResourceForeign(PermissionDenied):
    """Raise with `resource` and `owner`, for a resource that the caller may read: this tells nothing new."""

    reason = "RESOURCE_FOREIGN"
    message = "This unit keeps a copy of the resource; only its own unit changes it."
    hint = "Ask the unit that the resource's name begins with."


class ReviewerIsAuthor(PermissionDenied):
    reason = "REVIEWER_IS_AUTHOR"
    message = "Whoever wrote a text cannot be the one who reviews it."
    hint = "Have somebody review it who did not write on it."


# The request clashes with what is, or is not, there.


class NotFound(HanseError):
    code = code_pb2.NOT_FOUND
    reason = "NOT_FOUND"
    message = "It does not exist, or you may not see it."
    hint = "Check the name, and that you may see it."


class ResourceNotFound(NotFound):
    reason = "RESOURCE_NOT_FOUND"
    message = "The resource does not exist, or you may not see it."
    hint = "Check the resource name and your roles; we do not say which of the two it is."


class AlreadyExists(HanseError):
    code = code_pb2.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"
    message = "It already exists."
    hint = "Read the existing one, or choose another id."


class ResourceAlreadyExists(AlreadyExists):
    reason = "RESOURCE_ALREADY_EXISTS"
    message = "A resource of this name already exists."
    hint = "Read the existing one, or choose another id."


class Aborted(HanseError):
    code = code_pb2.ABORTED
    reason = "ABORTED"
    message = "Somebody else changed it at the same time."
    hint = "Read it again, and repeat the request on what you then see."


class EtagMismatch(Aborted):
    reason = "ETAG_MISMATCH"
    message = "The resource has changed since you read it."
    hint = "Read it again, and repeat the change with the new etag."


class PolicyDraftOutdated(Aborted):
    reason = "POLICY_DRAFT_OUTDATED"
    message = "Another version was published since the draft was written: publishing it would undo that one unseen."
    hint = "Compare the draft with the newest version, write it anew on that one, and have it reviewed again."


# The request is right, but the system is not in a state for it.


class FailedPrecondition(HanseError):
    code = code_pb2.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"
    message = "This cannot be done in the present state."
    hint = "Change the state that is named, and then repeat the request."


class IllegalTransition(FailedPrecondition):
    """Raise with `from_`, `to` and `verb`, so that a client can say which step is not open."""

    reason = "ILLEGAL_TRANSITION"
    message = "The resource's state does not allow this step."
    hint = "Read the resource again, and choose a step that its present state allows."


class TicketReturnedTooOften(FailedPrecondition):
    """Raise with `resource` and `returns`."""

    reason = "TICKET_RETURNED_TOO_OFTEN"
    message = "The ticket has gone to and fro as often as the policy allows: it is not sent back any more."
    hint = "Reassign the engagement, which then goes to the final owner; or recall it, or confirm the solution."


class CorrectionContradicts(FailedPrecondition):
    """Raise with `resource`. A correction is about the past; where the ticket is now, everybody can see."""

    reason = "CORRECTION_CONTRADICTS"
    message = "With this correction the ticket would not be where it is."
    hint = "Say the whole of it, a wait with its end; or take the missing step now, and then correct its time."


class HistoryMissing(FailedPrecondition):
    """Raise with `resource`."""

    reason = "HISTORY_MISSING"
    message = "The ticket's opening is not in this unit's log, so its clocks can't be computed."
    hint = "Have the log restored from headquarters' copy (hanse stream reseed), and try again."


class CustomerHasOpenTickets(FailedPrecondition):
    """Raise with `resource` and `tickets`."""

    reason = "CUSTOMER_HAS_OPEN_TICKETS"
    message = "Something is still under way for this customer."
    hint = "Close the tickets that are named, and then erase the customer."


class CustomerHasOpenComplaints(FailedPrecondition):
    """Raise with `resource` and `complaints`."""

    reason = "CUSTOMER_HAS_OPEN_COMPLAINTS"
    message = "A complaint of this customer is still under way."
    hint = "Close the complaints that are named, or note that they were taken back, and then erase the customer."


class ComplaintHandlerInvolved(FailedPrecondition):
    """Raise with `resource` and `agent`."""

    reason = "COMPLAINT_HANDLER_INVOLVED"
    message = "A complaint is not handled by somebody who worked on the ticket that it is about."
    hint = "Let somebody else handle it, or take it to the next level."


class ComplaintReplyAwaited(FailedPrecondition):
    """Raise with `resource` and `until`."""

    reason = "COMPLAINT_REPLY_AWAITED"
    message = "The customer may still reject the answer: who gave it does not end the complaint before."
    hint = "Let somebody else end it who has heard the customer; otherwise wait, it closes by itself."


class WithdrawnByHandler(FailedPrecondition):
    """Raise with `resource` and `agent`."""

    reason = "WITHDRAWN_BY_HANDLER"
    message = "That the customer takes a complaint back is not noted by who has taken it up and owes the answer."
    hint = "Let somebody else note it who has heard the customer, or answer the complaint."


class PolicyMissing(FailedPrecondition):
    reason = "POLICY_MISSING"
    message = "No policy is in force for this."
    hint = "Have headquarters publish the policy; the unit picks it up by itself."


class PolicyNotYetInForce(FailedPrecondition):
    """Raise with `policy` and `effective_time`."""

    reason = "POLICY_NOT_YET_IN_FORCE"
    message = "The version's time has not come: nothing is judged by it yet."
    hint = "Wait until it is in force; `hanse ticket explain --policy` shows what it would make of a ticket."


class PolicyVersionWaits(FailedPrecondition):
    """Raise with `policies`, which would be superseded, and `effective_time`, the first one's."""

    reason = "POLICY_VERSION_WAITS"
    message = "A version that waits for its time would never be in force: the greatest version whose time has come is."
    hint = "Name a later time than its own, or say supersede (--supersede), and publish anew what it was to bring."


class PolicyOverrideInvalid(InvalidArgument):
    """Raise with `paths`, the places in the override that do not hold."""

    reason = "POLICY_OVERRIDE_INVALID"
    message = "The policy does not let the unit tune this."
    hint = "Stay within the floors and ceilings under `tunable` of the policy (hanse policy show current)."


class PolicyReviewRequired(FailedPrecondition):
    reason = "POLICY_REVIEW_REQUIRED"
    message = "A second person has to approve of the next version: the newest one says so, or says nothing else."
    hint = (
        "Write it as a draft (hanse policy draft create FILE, then draft submit), have somebody else approve of it "
        "(hanse policy draft approve --as …), and publish that (hanse policy draft publish). A version that says "
        "reviews_required: 0 is followed without."
    )


class HeadquartersOnly(FailedPrecondition):
    reason = "HEADQUARTERS_ONLY"
    message = "Only headquarters does this."
    hint = "Send the request to headquarters."


class UnitIndependent(FailedPrecondition):
    reason = "UNIT_INDEPENDENT"
    message = "This unit is independent: it has no link to headquarters."
    hint = "Set its mode to subordinate, and hub_address, to join the group."


class GroupPolicyInForce(FailedPrecondition):
    reason = "GROUP_POLICY_IN_FORCE"
    message = "The group's policy is in force in this unit, and stays in force after it has left."
    hint = "Headquarters publishes the group's policy; a unit publishes its own only before it has ever joined."


class NobodyToAsk(FailedPrecondition):
    reason = "NOBODY_TO_ASK"
    message = "The policy in force lists no unit but this one, so nobody can be asked for an engagement."
    hint = "Solve the ticket here, or let the unit join the group."


class SigningUnavailable(FailedPrecondition):
    reason = "SIGNING_UNAVAILABLE"
    message = "This process of headquarters does not have the key of the group's authority."
    hint = "Set authority_folder at headquarters; or take certificates from the group's own PKI, and admit the unit."


class RevocationListOutdated(FailedPrecondition):
    """Raise with `number` and `newest`."""

    reason = "REVOCATION_LIST_OUTDATED"
    message = "The list of void certificates is not newer than the one that is here."
    hint = "Nothing of it was taken. Have the authority sign a list with a CRL number that is greater than the newest."


class RevocationListIncomplete(FailedPrecondition):
    """Raise with the certificates in the message: units and serial numbers."""

    reason = "REVOCATION_LIST_INCOMPLETE"
    message = "The list leaves out certificates that are void at headquarters."
    hint = "Nothing of it was taken. Have the authority revoke these too, and sign the next list."


class LeaveTooEarly(FailedPrecondition):
    """Raise with `unit`."""

    reason = "LEAVE_TOO_EARLY"
    message = "Something of the unit is still under way."
    hint = "Finish what is named, wait until the link has acknowledged everything, and leave then."


class AmountTooFine(FailedPrecondition):
    reason = "AMOUNT_TOO_FINE"
    message = "The amount is finer than the smallest unit of its currency."
    hint = "Have headquarters correct the rate, and publish the policy again."


# A log and its copy do not agree. A gap loses nothing: the sender still has the events, and resuming from the position
# that the receiver names fills it, so it is a precondition that the sender has yet to meet. A fork is data loss: two
# histories claim the same position, so something that was acknowledged has been lost or altered at one end. No retry
# can heal that and neither end may overwrite the other, so the stream stays in quarantine until a person decides.


class LogGap(FailedPrecondition):
    reason = "LOG_GAP"
    message = "Events are missing between the last known position and this one."
    hint = (
        "A link resumes from the position that the receiver names. Where the writer's own log lacks them,"
        " see docs/how-to/resolve-a-quarantine.md."
    )


class LogQuarantined(FailedPrecondition):
    reason = "LOG_QUARANTINED"
    message = "The stream is in quarantine since its log was found to have forked."
    hint = "A person decides, see docs/how-to/resolve-a-quarantine.md: re-seed, a new epoch, or a release."


class FactUnreadable(FailedPrecondition):
    """Raise with `stream`, `epoch` and `sequence`, and with `event` and `type` where they can be read."""

    reason = "FACT_UNREADABLE"
    message = "A record of the stream can't be stored by this version."
    hint = (
        "Upgrade this end to the version of the one that wrote it, then `hanse stream release`:"
        " docs/how-to/resolve-a-quarantine.md."
    )


class FactSetApart(FailedPrecondition):
    """What the alarm says where headquarters keeps a fact that it could not take in."""

    reason = "FACT_SET_APART"
    message = "A unit told what headquarters could not take in: it is kept, and has no effect yet."
    hint = (
        "`hanse dead-letters list --unit hq -s federation` shows why. Upgrade headquarters where the unit is newer, and"
        " retry them then: docs/how-to/dead-letters.md."
    )


class ProcessPaused(FailedPrecondition):
    reason = "PROCESS_PAUSED"
    message = "The process is paused: it does nothing."
    hint = "Resume it with `hanse workflow resume`."


class ProcessNotPaused(FailedPrecondition):
    reason = "PROCESS_NOT_PAUSED"
    message = "The process is not paused."
    hint = "There is nothing to do: it works."


class ProcessNotNeeded(FailedPrecondition):
    reason = "PROCESS_NOT_NEEDED"
    message = "Nothing is left that the process would wait for."
    hint = "`hanse workflow list` shows the processes that there are."


class NothingToSkip(FailedPrecondition):
    reason = "NOTHING_TO_SKIP"
    message = "The process waits for no step that could be skipped."
    hint = "`hanse workflow show` says what it waits for; the how-to on processes says what can't be skipped."


class NothingToDecide(FailedPrecondition):
    reason = "NOTHING_TO_DECIDE"
    message = "It is not known yet which records both ends have in common."
    hint = "Wait until the link has been up: the unit compares the logs by itself. `hanse status` shows the result."


class LogsDisagree(FailedPrecondition):
    reason = "LOGS_DISAGREE"
    message = "The two holders of the stream still disagree."
    hint = "Re-seed the unit, or start a new epoch at the stream's writer and accept it at the other end."


class LogFork(HanseError):
    code = code_pb2.DATA_LOSS
    reason = "LOG_FORK"
    message = "Two different histories claim the same position of one stream."
    hint = (
        "Find out whether a backup was restored or a row was edited; then `hanse stream reseed` or"
        " `hanse stream start-epoch`: docs/how-to/resolve-a-quarantine.md."
    )


# There is a limit, and this would pass it.


class ResourceExhausted(HanseError):
    code = code_pb2.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"
    message = "A limit has been reached."
    hint = "Wait a little, and ask for less at a time."


class TooManyTries(ResourceExhausted):
    reason = "TOO_MANY_TRIES"
    message = "There were too many tries from this address."
    hint = "Wait a minute, and try again with the right invitation."


class CreditExceeded(ResourceExhausted):
    """Raise with `credit`, where the other end of a link sends more than was allowed without an acknowledgement."""

    reason = "CREDIT_EXCEEDED"
    message = "More records came than may be under way without an acknowledgement."
    hint = "Send no more than the credit ahead of the acknowledgements; the link begins again where they end."


class FramesUnread(ResourceExhausted):
    """Raise with `frames`, where the other end of a link does not read what it is sent."""

    reason = "FRAMES_UNREAD"
    message = "The other end of the link does not read what it is sent."
    hint = "Find out what keeps that end from reading; the link begins again where its acknowledgements end."


# What we need does not answer. Repeating the request later is the right thing to do.


class Unavailable(HanseError):
    code = code_pb2.UNAVAILABLE
    reason = "UNAVAILABLE"
    message = "Something that this needs does not answer."
    hint = "Try again shortly, with the same request id."


class UnitUnreachable(Unavailable):
    reason = "UNIT_UNREACHABLE"
    message = "The unit does not answer."
    hint = "Nothing is lost: the unit works on by itself and catches up when its line is back."


class DatabaseUnavailable(Unavailable):
    reason = "DATABASE_UNAVAILABLE"
    message = "The database does not answer."
    hint = "Try again shortly, with the same request id."


class BrokerUnavailable(Unavailable):
    reason = "BROKER_UNAVAILABLE"
    message = "The unit's broker does not answer."
    hint = "Nothing is lost: the log keeps what is to be told until the broker is back."


class TemporalUnavailable(Unavailable):
    reason = "TEMPORAL_UNAVAILABLE"
    message = "The unit's Temporal does not answer."
    hint = "Nothing is lost: deadlines are in the database. Try again shortly, with the same request id."


class LocalServerFailed(Unavailable):
    reason = "LOCAL_SERVER_FAILED"
    message = "An embedded server did not start or did not stay up."
    hint = "Read the end of its log, which is quoted, or give Hanse the URL of a server of your own."
