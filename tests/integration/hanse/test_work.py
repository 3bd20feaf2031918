"""Commands: what each caller sees is as if it had been alone, whatever shares its transaction."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from sqlalchemy import text

from hanse.database import Database
from hanse.errors import (
    DatabaseUnavailable,
    HanseError,
    IllegalTransition,
    RequestIdMissing,
    RequestIdReused,
    Unavailable,
    ValidationFailed,
)
from hanse.log.follow import START, read_after
from hanse.log.verify import verify
from hanse.runtime import Runtime
from hanse.work import MAX_TRIES, Cause, CommandExecutor, Work
from tests.integration.hanse.kernel import PLENTY, SCHEMA, STREAM, UNIT, count_up, counters, create_schema
from tests.support import MakeDatabase, MakeExecutor, MakeRuntime, cause_by


@pytest.fixture
def runtime(make_runtime: MakeRuntime, make_database: MakeDatabase) -> Runtime:
    url = make_database()
    create_schema(url)
    return make_runtime(UNIT, database_url=url)


@pytest.fixture
def executor(runtime: Runtime, make_executor: MakeExecutor) -> CommandExecutor:
    return make_executor(runtime, SCHEMA)


async def count(
    executor: CommandExecutor,
    name: str,
    cause: Cause | None = None,
    command: Callable[[Work, StringValue], Int64Value] = count_up,
) -> int:
    request = StringValue(value=name)
    return (await executor.execute(command, request, cause or cause_by(), Int64Value)).value


async def state(runtime: Runtime) -> dict[str, int]:
    return await runtime.database.read(counters)


async def told(runtime: Runtime) -> Counter[str]:
    records = await runtime.database.read(read_after, SCHEMA.log, STREAM, START, PLENTY)
    return Counter(record.resource.rsplit("/", 1)[-1] for record in records)


# Request ids.


async def test_a_repeat_returns_the_first_answer_and_changes_nothing(
    runtime: Runtime, executor: CommandExecutor
) -> None:
    cause = cause_by()
    assert [await count(executor, "a", cause) for _ in range(3)] == [1, 1, 1]
    assert (await state(runtime), await told(runtime)) == ({"a": 1}, {"a": 1})


async def test_another_body_under_the_same_request_id_is_refused(runtime: Runtime, executor: CommandExecutor) -> None:
    cause = cause_by()
    await count(executor, "a", cause)
    with pytest.raises(RequestIdReused):
        await count(executor, "b", cause)
    assert await state(runtime) == {"a": 1}


async def test_somebody_else_s_request_id_is_refused(executor: CommandExecutor) -> None:
    cause = cause_by()
    await count(executor, "a", cause)
    with pytest.raises(RequestIdReused):
        await count(executor, "a", Cause("units/shanghai/agents/wu", cause.request_id))


async def test_a_command_without_a_request_id_is_refused(executor: CommandExecutor) -> None:
    with pytest.raises(RequestIdMissing):
        await count(executor, "a", Cause("units/shanghai/agents/li"))


async def test_one_request_id_twice_in_a_group_is_done_once(runtime: Runtime, executor: CommandExecutor) -> None:
    cause = cause_by()
    assert await asyncio.gather(*(count(executor, "a", cause) for _ in range(5))) == [1] * 5
    assert (await state(runtime), await told(runtime)) == ({"a": 1}, {"a": 1})


async def test_one_request_id_twice_in_a_group_with_two_bodies_is_done_once_and_refused_once(
    runtime: Runtime, executor: CommandExecutor
) -> None:
    cause = cause_by()
    results = await asyncio.gather(count(executor, "a", cause), count(executor, "b", cause), return_exceptions=True)
    assert (results[0], type(results[1]), await state(runtime)) == (1, RequestIdReused, {"a": 1})


async def test_one_request_id_in_two_processes_at_once_is_done_once(
    runtime: Runtime, make_executor: MakeExecutor
) -> None:
    executors = [make_executor(runtime, SCHEMA) for _ in range(2)]
    cause = cause_by()
    assert await asyncio.gather(*(count(executor, "a", cause) for executor in executors)) == [1, 1]
    assert await state(runtime) == {"a": 1}


# Groups.


async def test_fifty_commands_at_once_on_one_row_are_each_done_once(
    runtime: Runtime, executor: CommandExecutor
) -> None:
    answers = await asyncio.gather(*(count(executor, "a") for _ in range(50)))
    assert (sorted(answers), await state(runtime)) == (list(range(1, 51)), {"a": 50})
    assert (await runtime.database.read(verify, SCHEMA.log, STREAM)).records == 50


@pytest.mark.parametrize(("bad", "error"), [("bad", IllegalTransition), ("broken", ZeroDivisionError)])
async def test_a_command_that_fails_harms_no_other_of_its_group(
    runtime: Runtime, executor: CommandExecutor, bad: str, error: type[Exception]
) -> None:
    names = ["a", bad, "b", f"{bad}2", "c"]
    results = await asyncio.gather(*(count(executor, name) for name in names), return_exceptions=True)
    assert [type(result) for result in results] == [int, error, int, error, int]
    assert (await state(runtime), await told(runtime)) == ({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 1})


async def test_the_error_of_a_command_is_about_what_was_committed(executor: CommandExecutor) -> None:
    # In the group the second "bad" would count to 2; but the first one is rolled back.
    results = await asyncio.gather(*(count(executor, "bad") for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["bad at 1"] * 3


async def test_a_command_that_fails_may_be_repeated_under_its_request_id(executor: CommandExecutor) -> None:
    cause = cause_by()
    for _ in range(2):
        with pytest.raises(IllegalTransition):
            await count(executor, "bad", cause)


async def test_a_caller_that_went_away_harms_nobody(runtime: Runtime, executor: CommandExecutor) -> None:
    leaving, staying = [asyncio.create_task(count(executor, name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 1
    assert await state(runtime) == {"a": 1, "b": 1}


# State and events are one.


async def test_a_command_that_fails_leaves_neither_state_nor_events(
    runtime: Runtime, executor: CommandExecutor
) -> None:
    with pytest.raises(HanseError):
        await count(executor, "bad")
    assert (await state(runtime), await told(runtime)) == ({}, {})


async def test_an_append_that_fails_leaves_no_state(runtime: Runtime, executor: CommandExecutor) -> None:
    await runtime.database.write(
        lambda session: session.execute(text("ALTER TABLE kernel.log_record ADD CHECK (sequence < 1)"))
    )
    with pytest.raises(HanseError):
        await count(executor, "a")
    assert await state(runtime) == {}


async def test_what_is_done_after_the_append_is_in_the_same_transaction(
    runtime: Runtime, executor: CommandExecutor
) -> None:
    def refuse(*_args: Any) -> None:
        raise IllegalTransition

    executor.after_append = refuse
    with pytest.raises(IllegalTransition):
        await count(executor, "a")
    assert (await state(runtime), await told(runtime)) == ({}, {})


# The database fails.


def killing(url: str, times: int) -> Callable[[Work, StringValue], Int64Value]:
    """Return a command that ends its own database connection the first so many times."""
    left = iter(range(times))

    def count_and_kill(work: Work, request: StringValue) -> Int64Value:
        answer = count_up(work, request)
        if next(left, None) is not None:
            backend = work.session.scalar(text("SELECT pg_backend_pid()"))
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("SELECT pg_terminate_backend(%s)", [backend])
        return answer

    return count_and_kill


async def test_a_connection_that_breaks_before_the_commit_is_replaced_and_the_command_done_once(
    runtime: Runtime, executor: CommandExecutor
) -> None:
    killer = killing(runtime.settings.database_url, times=1)
    results = await asyncio.gather(count(executor, "a", command=killer), count(executor, "b"))
    assert (sum(results), await state(runtime)) == (2, {"a": 1, "b": 1})


async def test_a_database_that_keeps_breaking_is_unavailable_and_the_repeat_is_done_once(
    runtime: Runtime, executor: CommandExecutor
) -> None:
    killer, cause = killing(runtime.settings.database_url, times=MAX_TRIES), cause_by()
    with pytest.raises(DatabaseUnavailable):
        await count(executor, "a", cause, killer)
    assert (await state(runtime), await told(runtime)) == ({}, {})
    assert (await count(executor, "a", cause, killer), await state(runtime)) == (1, {"a": 1})


class ForgetfulDatabase(Database):
    """Loses its connection right after the COMMIT, before it knows that it has been done."""

    async def write(self, change: Any, *args: Any, **kwargs: Any) -> Any:
        await super().write(change, *args, **kwargs)
        raise ConnectionResetError


async def test_a_commit_whose_outcome_is_unknown_is_not_done_again(runtime: Runtime, executor: CommandExecutor) -> None:
    executor.database = ForgetfulDatabase(runtime.settings.database_url)
    cause = cause_by()
    with pytest.raises(DatabaseUnavailable):
        await count(executor, "a", cause)
    await executor.database.close()
    executor.database = runtime.database
    assert (await count(executor, "a", cause), await state(runtime), await told(runtime)) == (1, {"a": 1}, {"a": 1})


async def test_a_database_that_is_not_there_is_unavailable(executor: CommandExecutor) -> None:
    executor.database = Database("postgresql://postgres@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable):
        await count(executor, "a")


async def test_a_value_that_the_database_can_not_hold_is_the_caller_s_to_correct(executor: CommandExecutor) -> None:
    with pytest.raises(ValidationFailed):
        await count(executor, "a\0b")


# Closing.


async def test_an_executor_that_closes_leaves_no_caller_waiting(runtime: Runtime, executor: CommandExecutor) -> None:
    lock = psycopg.connect(runtime.settings.database_url)
    lock.execute("LOCK TABLE kernel.counter IN EXCLUSIVE MODE")
    waiting = [asyncio.create_task(count(executor, "a")) for _ in range(3)]
    await asyncio.sleep(0.1)
    late = asyncio.create_task(count(executor, "b"))
    await asyncio.sleep(0)
    await executor.close()
    lock.close()
    results = await asyncio.gather(*waiting, late, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 4
    assert await state(runtime) == {}


async def test_a_closed_executor_takes_no_command(executor: CommandExecutor) -> None:
    await executor.close()
    with pytest.raises(Unavailable):
        await count(executor, "a", Cause("units/shanghai/agents/li", str(uuid4())))
