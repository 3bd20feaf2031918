"""Answers are kept for as long as they are promised, and no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from hanse.pruning import BATCH_ROWS, Pruner, delete_old_answers
from hanse.runtime import Runtime
from tests.integration.hanse.kernel import SCHEMA, UNIT, create_schema
from tests.support import MakeRuntime

RETENTION = timedelta(hours=24)


@pytest.fixture
async def runtime(make_runtime: MakeRuntime) -> Runtime:
    runtime = make_runtime(UNIT)
    create_schema(runtime.settings.database_url)
    return runtime


async def answer(runtime: Runtime, count: int, age: str) -> None:
    async with runtime.database.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO kernel.request (request_id, fingerprint, response, create_time) "
                "SELECT gen_random_uuid(), '', '', now() - CAST(:age AS interval) FROM generate_series(1, :count)"
            ),
            {"age": timedelta(hours=float(age)), "count": count},
        )


async def kept(runtime: Runtime) -> int:
    async with runtime.database.engine.connect() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM kernel.request")) or 0)


async def test_an_answer_is_kept_for_a_day_and_deleted_after_it(runtime: Runtime) -> None:
    await answer(runtime, 3, "23.9")
    await answer(runtime, 5, "24.1")
    assert await Pruner(runtime.database, [SCHEMA], RETENTION).prune() == 5
    assert await kept(runtime) == 3


async def test_a_transaction_deletes_a_bounded_batch(runtime: Runtime) -> None:
    await answer(runtime, BATCH_ROWS + 1, "25")
    assert await runtime.database.write(delete_old_answers, SCHEMA, RETENTION) == BATCH_ROWS
    assert await kept(runtime) == 1


async def test_rows_that_somebody_else_holds_are_passed_over(runtime: Runtime) -> None:
    await answer(runtime, 2, "25")
    async with runtime.database.engine.begin() as connection:
        await connection.execute(text("SELECT FROM kernel.request LIMIT 1 FOR UPDATE"))
        assert await runtime.database.write(delete_old_answers, SCHEMA, RETENTION) == 1


async def test_less_than_a_day_can_not_be_set(make_runtime: MakeRuntime) -> None:
    with pytest.raises(ValidationError):
        make_runtime(UNIT, request_retention_hours=23)
