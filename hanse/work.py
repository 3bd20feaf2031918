"""Commands: each changes state and tells what it did, in one transaction. Group commit buys back what that costs.

A command is a plain function `command(work, request) -> response`. It loads what it needs through `work.session`,
changes it, and calls `work.tell` for each fact. It decides everything from what it loaded; it calls nobody.

`CommandExecutor` runs commands that arrive together in one transaction, one after the other: they share the begin,
the commit, the head row's lock and the inserts. Under load a group is gathered for some milliseconds; a command that
comes alone does not wait. What each caller sees is as if it had been alone:

- The first answer to a request id is stored with the change; a repeat gets it again, a reuse with another body fails.
- When one command of a group raises, the transaction is rolled back, the others run again without it, and then it runs
  alone, so that its error is about a state that was really committed.
- When the database refuses (a deadlock, a lock that takes too long, a serialization failure), each runs alone, again.

An answer leaves only after COMMIT. Whoever gets no answer repeats the request with the same request id.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import structlog
from google.protobuf.message import Message
from sqlalchemy import ARRAY, Select, Table, Uuid, any_, bindparam, select
from sqlalchemy.orm import DeclarativeBase, Session

from hanse.clock import Clock, utc_now
from hanse.database import DATABASE_ERRORS, Database, as_hanse_error
from hanse.errors import RequestIdMissing, RequestIdReused, Unavailable
from hanse.log.append import Entry, append
from hanse.log.events import Fact, Origin, new_event
from hanse.names import stream_name
from hanse.policy.standards import Standards
from hanse.policy.store import PolicyStore
from hanse.schema import ServiceSchema
from hanse.session import insert_plain, insert_rows

if TYPE_CHECKING:
    from hanse.identity import Role

MAX_GROUP_COMMANDS = 64
"""How many commands share a transaction at most: more would not be faster, and would make an error dearer."""
GATHER_PAUSE_SECONDS = 0.001
"""Between two looks for more commands: a request that has reached the socket needs less to become a command."""
MAX_GATHER_SECONDS = 0.01
"""How long a group is gathered at most. A transaction costs about as much by itself as the commands of four tickets."""
MAX_WAITING_COMMANDS = 10_000
"""How many commands wait at most before new ones are refused: back-pressure instead of memory."""
MAX_TRIES = 3
"""How often a command is tried when the database refuses it for reasons that pass."""

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Cause:
    """On whose account something is done."""

    actor: str
    request_id: str = ""
    trace_context: str = ""
    roles: frozenset[Role] = frozenset()
    """What a caller may do, for what depends on more than the rpc; none for what the unit does by itself."""


@dataclass(slots=True)
class Work:
    """One command's view of the transaction that it runs in."""

    session: Session
    unit: str
    cause: Cause
    now: datetime
    policies: PolicyStore
    entries: list[Entry] = field(default_factory=list)
    earlier: Sequence[Entry] = ()
    """What commands before it have told in the same transaction: it is not in the log yet."""

    @property
    def not_yet_in_the_log(self) -> Sequence[Entry]:
        """What was told in this transaction so far, in order: whoever reads the log has to take it in behind it."""
        return [*self.earlier, *self.entries]

    @property
    def standards(self) -> Standards:
        """The policy in force in this unit. Raises PolicyMissing before the first one."""
        return self.policies.current(self.session)

    def standards_of(self, version: int, override: int = 0) -> Standards:
        """Return the policy of a version, with a version of this unit's override over it; 0 lays none.

        Raises PolicyMissing for what this unit has never had in force.
        """
        return self.policies.version(self.session, version, override)

    def act_for(self, actor: str) -> None:
        """Let somebody else be who does it, where one is named: the gateway asks on a partner's behalf."""
        if actor:
            self.cause = replace(self.cause, actor=actor)

    def time_of(self, fact: Fact) -> datetime:
        """Return when something happened that others told: now at the latest, since their clocks may be ahead."""
        return min(fact.occur_time, self.now)

    def insert(self, row: DeclarativeBase) -> None:
        """Insert a new row that is only made here (see `hanse.session`); those of a group are written together."""
        insert_plain(self.session, row)

    def tell(self, resource: str, payload: Message, *, occur_time: datetime | None = None, **sealed: str) -> None:
        """Tell a fact about a resource. Free text goes into `sealed`, by field name."""
        origin = Origin(
            unit=self.unit,
            actor=self.cause.actor,
            request_id=self.cause.request_id,
            trace_context=self.cause.trace_context,
            policy_version=self.policies.current_version(self.session),
        )
        self.entries.append(new_event(origin, resource, payload, occur_time or self.now, sealed))


Command = Callable[[Work, Request], Response]


@dataclass(slots=True)
class _Pending(Generic[Request, Response]):
    """A command that waits for its turn, and for its answer."""

    command: Command[Request, Response]
    request: Request
    cause: Cause
    request_id: UUID
    fingerprint: bytes
    answer_type: type[Response]
    answer: asyncio.Future[Response]

    def succeed(self, response: Response) -> None:
        if not self.answer.done():
            self.answer.set_result(response)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _CommandError(Exception):
    """One command of a group raised."""

    def __init__(self, pending: _Pending[Any, Any], error: Exception) -> None:
        super().__init__(str(error))
        self.pending = pending
        self.error = error


def fingerprint(method: str, actor: str, request: Message) -> bytes:
    """Return what tells whether two requests with one request id are the same one, 32 bytes."""
    digest = sha256(method.encode())
    digest.update(b"\0" + actor.encode() + b"\0")
    digest.update(request.SerializeToString(deterministic=True))
    return digest.digest()


class CommandExecutor:
    """Runs the commands of one service of one unit."""

    def __init__(self, database: Database, schema: ServiceSchema, unit: str, *, clock: Clock = utc_now) -> None:
        self.database = database
        self.schema = schema
        self.unit = unit
        self.clock = clock
        self.policies = PolicyStore(schema)
        self.after_append: Callable[[Session, Sequence[Entry]], None] | None = None
        """What else the transaction does with what it appended: headquarters' routing passes it on to the units."""
        self._stream = stream_name(unit, schema.name)
        self._earlier_answers = _earlier_answers(schema.request)
        self._waiting: asyncio.Queue[_Pending[Any, Any]] = asyncio.Queue(MAX_WAITING_COMMANDS)
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    def now(self) -> datetime:
        """Return the present instant by the clock that the commands go by: what reads beside them asks it too."""
        return self.clock()

    async def execute(
        self,
        command: Command[Request, Response],
        request: Request,
        cause: Cause,
        answer_type: type[Response],
    ) -> Response:
        """Run a command and return its answer once it is committed.

        Raises the command's own error; RequestIdMissing, RequestIdReused; Unavailable where the database does not
        take it, and then the same request may be sent again.
        """
        if not cause.request_id:
            raise RequestIdMissing
        pending: _Pending[Request, Response] = _Pending(
            command=command,
            request=request,
            cause=cause,
            request_id=UUID(cause.request_id),
            fingerprint=fingerprint(command.__qualname__, cause.actor, request),
            answer_type=answer_type,
            answer=asyncio.get_running_loop().create_future(),
        )
        if self._closed:
            raise _shutting_down()
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name=f"commands of {self._stream}")
        try:
            self._waiting.put_nowait(pending)
        except asyncio.QueueFull:
            raise Unavailable("too many commands are waiting", hint="Send it again in a second.") from None
        return await pending.answer

    async def close(self) -> None:
        """Stop. Commands that have no answer yet fail with Unavailable; their callers repeat them elsewhere."""
        self._closed = True
        if self._runner:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
        while not self._waiting.empty():
            self._waiting.get_nowait().fail(_shutting_down())

    async def _run(self) -> None:
        group: list[_Pending[Any, Any]] = []
        while True:
            had_company = len(group) > 1
            group = [await self._waiting.get()]
            try:
                if had_company or not self._waiting.empty():
                    await self._gather()
                while len(group) < MAX_GROUP_COMMANDS and not self._waiting.empty():
                    group.append(self._waiting.get_nowait())
                await self._commit(group)
            except asyncio.CancelledError:
                for pending in group:
                    pending.fail(_shutting_down())
                raise
            except Exception as error:
                logger.exception("a group of commands failed")
                for pending in group:
                    pending.fail(error)

    async def _gather(self) -> None:
        """Wait for as long as more commands come in, within bounds: the fuller a group, the less each of it costs.

        It is asked for only under load. A command that comes alone, after one that was alone, is run at once.
        """
        before, end = -1, asyncio.get_running_loop().time() + MAX_GATHER_SECONDS
        while before < self._waiting.qsize() < MAX_GROUP_COMMANDS and asyncio.get_running_loop().time() < end:
            before = self._waiting.qsize()
            await asyncio.sleep(GATHER_PAUSE_SECONDS)

    async def _commit(self, group: Sequence[_Pending[Any, Any]]) -> None:
        """Run a group in one transaction and hand out the answers; see the module's text for what fails how."""
        try:
            answers = await self.database.write(self._perform, group)
        except _CommandError as failure:
            rest = [pending for pending in group if pending is not failure.pending]
            if rest:
                await self._commit(rest)
                await self._commit([failure.pending])
            else:
                failure.pending.fail(failure.error)
        except DATABASE_ERRORS as error:
            await self._commit_alone(group, error)
        else:
            for pending, answer in zip(group, answers, strict=True):
                pending.succeed(answer)

    async def _commit_alone(self, group: Sequence[_Pending[Any, Any]], error: Exception) -> None:
        if len(group) > 1:
            for pending in group:
                await self._commit([pending])
            return
        [pending] = group
        for _ in range(MAX_TRIES - 1):
            try:
                [answer] = await self.database.write(self._perform, group)
            except _CommandError as failure:
                pending.fail(failure.error)
                return
            except DATABASE_ERRORS as again:
                error = again
            else:
                pending.succeed(answer)
                return
        pending.fail(as_hanse_error(error))

    def _perform(self, session: Session, group: Sequence[_Pending[Any, Any]]) -> list[Message]:
        """Run the commands of a group in a session, and append what they tell."""
        answered = self._answered(session, [pending.request_id for pending in group])
        now = self.now()
        answers: list[Message] = []
        entries: list[Entry] = []
        rows: list[dict[str, object]] = []
        for pending in group:
            try:
                if earlier := answered.get(pending.request_id):
                    answers.append(_repeat(pending, *earlier))
                    continue
                work = Work(session, self.unit, pending.cause, now, self.policies, earlier=entries)
                answer = pending.command(work, pending.request)
            except DATABASE_ERRORS:
                raise
            except Exception as error:
                # Also a defect of one command's own is its own alone.
                raise _CommandError(pending, error) from error
            response = answer.SerializeToString()
            answered[pending.request_id] = (pending.fingerprint, response)
            rows.append({"request_id": pending.request_id, "fingerprint": pending.fingerprint, "response": response})
            answers.append(answer)
            entries += work.entries
        session.flush()
        if rows:
            insert_rows(session, self.schema.request, rows)
        if entries:
            append(session, self.schema.log, self._stream, entries)
            if self.after_append:
                self.after_append(session, entries)
        return answers

    def _answered(self, session: Session, request_ids: Iterable[UUID]) -> dict[UUID, tuple[bytes, bytes]]:
        rows = session.execute(self._earlier_answers, {"asked": list(request_ids)})
        return {row.request_id: (row.fingerprint, row.response) for row in rows}


def _earlier_answers(request: Table) -> Select[tuple[UUID, bytes, bytes]]:
    """Return the query for the answers to some request ids; it is built once, which takes as long as running it."""
    columns = request.c
    # One array, whatever the group's size: IN would be another statement for each size.
    asked = bindparam("asked", type_=ARRAY(Uuid))
    return select(columns.request_id, columns.fingerprint, columns.response).where(columns.request_id == any_(asked))


def _repeat(pending: _Pending[Any, Any], earlier_fingerprint: bytes, response: bytes) -> Message:
    if earlier_fingerprint != pending.fingerprint:
        raise RequestIdReused(request_id=str(pending.request_id))
    answer: Message = pending.answer_type.FromString(response)
    return answer


def _shutting_down() -> Unavailable:
    return Unavailable("the server is shutting down")
