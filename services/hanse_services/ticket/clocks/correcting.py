"""Correcting a ticket's history: a step happened at another time, was not noted, or did not happen.

The events stay as they are: a correction is a fact of its own, and the clocks are repaired with it. It may not leave
the ticket elsewhere than it is: a wait that was missed has to be over where the ticket does not wait.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from hanse.errors import CorrectionContradicts, CorrectionOutOfTime, CorrectionUnknownStep
from hanse.policy.facts import WAITING_FOR
from hanse.policy.histories import TicketHistory
from hanse.times import instant
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import repair_pb2 as pb
from hanse_protos.ticket.v1 import ticket_pb2 as nouns
from hanse_services.ticket.clocks.repair import history_of, repair_under, standards_for
from hanse_services.ticket.loading import own_ticket
from hanse_services.ticket.messages import summary_of


def correct_ticket(work: Work, request: pb.CorrectTicketRequest) -> pb.RepairedTicket:
    """Say when steps of a ticket really happened, and repair its clocks with it.

    Raises CorrectionOutOfTime, CorrectionUnknownStep, CorrectionContradicts; what repairing raises.
    """
    ticket = own_ticket(work, request.name, request.etag)
    history = history_of(work.session, ticket.name, told=work.not_yet_in_the_log)
    check_corrections(history, request.corrections, work.now)
    stood = _stand(history)
    history.correct(request.corrections, "", work.cause.actor, work.now)
    if _stand(history) != stood:
        state, holder = _stand(history)
        raise CorrectionContradicts(
            f"with this correction {ticket.name} would be {nouns.TicketState.Name(state)} at {holder}, "
            f"and it is {nouns.TicketState.Name(stood[0])} at {stood[1]}",
            resource=ticket.name,
        )
    corrected = told.TicketCorrected(ticket=summary_of(ticket), corrections=request.corrections)
    work.tell(ticket.name, corrected, text=request.reason)
    ticket.version += 1
    ticket.update_time = work.now
    standards = standards_for(work.session, work.policies, ticket, history, 0)
    return repair_under(work, standards, ticket, history)


def _stand(history: TicketHistory) -> tuple[nouns.TicketState.ValueType, str]:
    """Return where a history leaves a ticket; whether somebody took it is nothing that a correction could deny."""
    *_, last = history.moments()
    return nouns.IN_PROGRESS if last.state == nouns.NEW else last.state, last.holder


def check_corrections(history: TicketHistory, corrections: Iterable[pb.Correction], now: datetime) -> None:
    """Raise where corrections are of steps that are not there, or of times before the opening or in the future."""
    steps = {change.event_id for change in history.noted if not change.noted}
    said = {change.event_id for change in history.noted if change.noted}
    for correction in corrections:
        kind = correction.WhichOneof("correction")
        if kind is None:
            raise CorrectionUnknownStep("a correction says nothing", resource=history.opened.name)
        if kind == "voided_event_id":
            _check_known(history, correction.voided_event_id, steps | said)
        elif kind == "moved":
            _check_known(history, correction.moved.event_id, steps)
        if kind in ("moved", "missed"):
            _check_time(history, getattr(correction, kind).occur_time, now)
        if kind == "missed" and correction.missed.waiting_for not in ("", *WAITING_FOR):
            raise CorrectionUnknownStep(
                f"waiting_for must be one of {', '.join(WAITING_FOR)}", resource=history.opened.name
            )


def _check_known(history: TicketHistory, event_id: str, known: set[str]) -> None:
    if event_id not in known:
        raise CorrectionUnknownStep(resource=history.opened.name, event_id=event_id)


def _check_time(history: TicketHistory, occur_time: Any, now: datetime) -> None:
    try:
        at = instant(occur_time)
    except (ValueError, OverflowError) as error:
        raise CorrectionOutOfTime(f"no calendar knows the time: {error}", resource=history.opened.name) from error
    if not history.open_time <= at <= now:
        raise CorrectionOutOfTime(
            f"{at:%Y-%m-%d %H:%M:%S} UTC is not between the opening at {history.open_time:%Y-%m-%d %H:%M:%S} and now",
            resource=history.opened.name,
        )
