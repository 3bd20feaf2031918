"""What was done to processes by hand, as rows: the commands that write them, and the questions about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.errors import ProcessNotPaused, ProcessPaused
from hanse.times import timestamp
from hanse.work import Work
from hanse_protos.waiting.v1 import processes_pb2 as pb
from hanse_workflows.model import Intervention

_LASTS = (Intervention.kind == pb.Intervention.PAUSE, Intervention.end_time.is_(None))


def pause(work: Work, request: pb.PauseProcessRequest) -> pb.Process:
    """Pause a process. Raises ProcessPaused."""
    if _lasting(work.session, request.id):
        raise ProcessPaused(process=request.id)
    _note(work, request.id, pb.Intervention.PAUSE, request.reason)
    return pb.Process(id=request.id)


def resume(work: Work, request: pb.ResumeProcessRequest) -> pb.Process:
    """End the pause of a process. Raises ProcessNotPaused."""
    lasting = _lasting(work.session, request.id)
    if lasting is None:
        raise ProcessNotPaused(process=request.id)
    lasting.end_time = work.now
    _note(work, request.id, pb.Intervention.RESUME)
    return pb.Process(id=request.id)


def retry(work: Work, request: pb.RetryProcessRequest) -> pb.Process:
    """Note that a process is made to ask at once. Raises ProcessPaused."""
    if _lasting(work.session, request.id):
        raise ProcessPaused(process=request.id)
    _note(work, request.id, pb.Intervention.RETRY)
    return pb.Process(id=request.id)


def skipping(step: str) -> Callable[[Work, pb.SkipProcessStepRequest], pb.Process]:
    """Return the command that notes that the service has skipped a step."""

    def skip(work: Work, request: pb.SkipProcessStepRequest) -> pb.Process:
        _note(work, request.id, pb.Intervention.SKIP, request.reason, step)
        return pb.Process(id=request.id)

    return skip


def paused_among(session: Session, processes: Iterable[str]) -> frozenset[str]:
    """Return which of some processes are paused."""
    return frozenset(session.scalars(select(Intervention.process).where(*_LASTS, Intervention.process.in_(processes))))


def all_paused(session: Session) -> list[pb.Process]:
    """Return the processes that are paused, each with its pause, by name."""
    rows = session.scalars(select(Intervention).where(*_LASTS).order_by(Intervention.process))
    return [pb.Process(id=row.process, state=pb.PAUSED, interventions=[_to_proto(row)]) for row in rows]


def interventions_of(session: Session, process: str) -> list[pb.Intervention]:
    """Return what was done to a process, the oldest first."""
    rows = session.scalars(select(Intervention).filter_by(process=process).order_by(Intervention.number))
    return [_to_proto(row) for row in rows]


def _lasting(session: Session, process: str) -> Intervention | None:
    return session.scalar(select(Intervention).where(*_LASTS, Intervention.process == process))


def _note(work: Work, process: str, kind: pb.Intervention.Kind.ValueType, reason: str = "", step: str = "") -> None:
    last = work.session.scalar(select(func.max(Intervention.number)).where(Intervention.process == process))
    row = Intervention(
        process=process,
        number=(last or 0) + 1,
        kind=kind,
        actor=work.cause.actor,
        time=work.now,
        reason=reason,
        step=step,
    )
    work.session.add(row)
    work.session.flush()


def _to_proto(row: Intervention) -> pb.Intervention:
    return pb.Intervention(kind=row.kind, actor=row.actor, time=timestamp(row.time), reason=row.reason, step=row.step)
