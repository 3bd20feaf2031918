"""Request ids, and what a service's errors mean for trying again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import grpc
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from hanse_workflows.calls import answer_of, request_id


def id_in(**facts: Any) -> str:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, **facts)
    return environment.run(request_id)


def test_a_request_id_is_a_uuid() -> None:
    assert UUID(id_in()).version == 5


def test_every_try_of_an_activity_makes_the_same_request() -> None:
    assert id_in(attempt=1) == id_in(attempt=9)


@pytest.mark.parametrize("fact", ["workflow_id", "workflow_run_id", "activity_id"])
def test_another_process_run_or_activity_makes_another_request(fact: str) -> None:
    assert id_in(**{fact: "one"}) != id_in(**{fact: "two"})


@pytest.mark.parametrize(
    ("code", "hopeless"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, True),
        (grpc.StatusCode.NOT_FOUND, True),
        (grpc.StatusCode.PERMISSION_DENIED, True),
        (grpc.StatusCode.FAILED_PRECONDITION, True),
        (grpc.StatusCode.UNAVAILABLE, False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, False),
        (grpc.StatusCode.ABORTED, False),
        (grpc.StatusCode.INTERNAL, False),
        (grpc.StatusCode.UNAUTHENTICATED, False),
    ],
    ids=str,
)
async def test_only_hopeless_requests_are_not_repeated(code: grpc.StatusCode, hopeless: bool) -> None:
    with pytest.raises(ApplicationError) as failure:
        await answer_of(_fail_with(code))
    assert (failure.value.type, failure.value.non_retryable) == (code.name, hopeless)


async def _fail_with(code: grpc.StatusCode) -> None:
    raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="no")
