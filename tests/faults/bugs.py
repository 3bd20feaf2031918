"""Six bugs that others have had, planted in a role process of the harness: never a switch of the product.

Each replaces one piece of the product by a broken one, after everything has been imported. The checker has to find all
of them; see `planted` for the scenes in which they show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

BROKEN_PAUSE_SECONDS = 0.25
"""How long the broken executor takes between its answer and its COMMIT: a busy disk takes as long, and whoever kills
it in between has the time to."""


def naive_cursor() -> None:
    """The relay follows the log by the time of its rows instead of by dense, commit-ordered numbers.

    A row's time is when its transaction began. One that began earlier and commits later is behind the cursor.
    """
    from sqlalchemy import select  # noqa: PLC0415 - here and below: only the process that is broken needs it.

    from hanse.log.follow import StoredRecord  # noqa: PLC0415
    from hanse.telling import relay  # noqa: PLC0415

    cursors: dict[str, datetime] = {}

    def next_records(session: Any, followed: relay.FollowedLog) -> list[StoredRecord]:
        columns = followed.log.record.c
        after = cursors.get(followed.stream, datetime(2000, 1, 1, tzinfo=UTC))
        query = select(columns.append_time, *(columns[name] for name in StoredRecord._fields))
        query = query.where(columns.stream == followed.stream, columns.append_time > after)
        rows = session.execute(query.order_by(columns.append_time).limit(relay.BATCH_RECORDS)).all()
        if rows:
            cursors[followed.stream] = rows[-1][0]
        records = [StoredRecord(*row[1:]) for row in rows]
        # The stored cursor shall not look behind: the bug is in what was skipped, not in how far it came.
        return sorted(records, key=lambda record: record.sequence)

    _replace(relay, "_next_records", next_records)


def acknowledge_before_commit() -> None:
    """The executor answers when the commands have run, and commits afterwards."""
    from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415

    from hanse.work import CommandExecutor  # noqa: PLC0415

    correct = CommandExecutor._commit

    async def commit(self: CommandExecutor, group: Sequence[Any]) -> None:
        try:
            async with AsyncSession(self.database.engine, expire_on_commit=False) as session, session.begin():
                answers = await session.run_sync(self._perform, group)
                for pending, answer in zip(group, answers, strict=True):
                    pending.succeed(answer)
                await asyncio.sleep(BROKEN_PAUSE_SECONDS)
        except Exception:
            await correct(self, group)

    _replace(CommandExecutor, "_commit", commit)


def no_deduplication() -> None:
    """The inbox takes every message for a new one."""
    from hanse.telling.inbox import Inbox  # noqa: PLC0415

    correct = Inbox._record

    def record(self: Inbox, *arguments: Any) -> bool:
        correct(self, *arguments)
        return True

    _replace(Inbox, "_record", record)


def default_acknowledge() -> None:
    """nameko's own way: a handler that raises has its message acknowledged all the same."""
    from sqlalchemy.orm import Session  # noqa: PLC0415

    from hanse.telling import receiving  # noqa: PLC0415
    from hanse.telling.dead_letters import Effects, chosen_by_type  # noqa: PLC0415
    from hanse.telling.reacting import SteadyEventHandler  # noqa: PLC0415
    from hanse_protos.log.v1.log_pb2 import LogRecord  # noqa: PLC0415

    def receive(self: receiving.Receiver, message: bytes, effects: Effects, _reaction: str) -> None:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            self._inbox.apply(session, LogRecord.FromString(message), chosen_by_type(effects))

    def processed(self: SteadyEventHandler, message: Any, _result: object = None, exc_info: Any = None) -> None:
        self.queue_consumer.ack_message(message)

    _replace(receiving.Receiver, "receive", receive)
    _replace(SteadyEventHandler, "handle_message_processed", processed)


def cursor_before_apply() -> None:
    """The relay moves its cursor first, and tells afterwards."""
    from hanse.log.follow import last_position, save_cursor  # noqa: PLC0415
    from hanse.telling import relay  # noqa: PLC0415
    from hanse.telling.names import routing_key  # noqa: PLC0415
    from hanse.telling.publishing import Telling  # noqa: PLC0415

    # What it uses is looked up when it is planted: what has moved on shows at once, and not as a find of the checker.
    next_records, body_of = relay._next_records, relay._body_of

    async def tell_batch(self: relay.Relay, followed: relay.FollowedLog) -> int:
        records = await self._database.read(next_records, followed)
        if records:
            position = last_position(records)
            await self._database.write(save_cursor, followed.log, relay.FOLLOWER, followed.stream, position)
            batch = [Telling(followed.source, routing_key(each.type), body_of(each)) for each in records]
            await asyncio.get_running_loop().run_in_executor(self._thread, self._publisher.publish, batch)
        return len(records)

    _replace(relay.Relay, "_tell_batch", tell_batch)


def lost_acknowledgement() -> None:
    """The agent takes what it has sent for acknowledged, and goes on from there instead of from the receiver's word."""
    from hanse.log.append import Head  # noqa: PLC0415
    from hanse_federation.link.sending import Sender  # noqa: PLC0415

    sent: dict[str, Head] = {}
    begin, read = Sender.begin, Sender._read

    async def begin_from_own_idea(self: Sender, received: Mapping[str, Head]) -> None:
        await begin(self, {**received, **sent})

    async def read_and_remember(self: Sender, source: Any) -> Any:
        reading = await read(self, source)
        sent[source.stream] = self._heads[source.stream]
        return reading

    _replace(Sender, "begin", begin_from_own_idea)
    _replace(Sender, "_read", read_and_remember)


def _replace(owner: Any, name: str, broken: Callable[..., Any]) -> None:
    """Put a broken piece in the place of one that is there. Raises AttributeError where the product has moved on."""
    getattr(owner, name)
    setattr(owner, name, broken)


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        naive_cursor,
        acknowledge_before_commit,
        no_deduplication,
        default_acknowledge,
        cursor_before_apply,
        lost_acknowledgement,
    )
}
"""Every bug, by its name."""
