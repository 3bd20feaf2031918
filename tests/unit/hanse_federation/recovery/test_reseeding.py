"""Fetching a stream back from headquarters' copy: what is an end of it, and what only looks like one."""

import pytest

from hanse.errors import ValidationFailed
from hanse.log.append import EMPTY_HEAD
from hanse_federation.recovery.reseeding import fetch
from hanse_protos.federation.v1.link_pb2 import FetchRecordsRequest, FetchRecordsResponse, RecordBatch

MUNICH = "units/munich"
STREAM = f"{MUNICH}/streams/ticket"


async def fetched(answer: FetchRecordsResponse) -> list[RecordBatch]:
    """Fetch a stream from a headquarters that always answers the same."""

    async def ask(_request: FetchRecordsRequest) -> FetchRecordsResponse:
        return answer

    return await fetch(MUNICH, STREAM, EMPTY_HEAD, ask, 10)


async def test_an_answer_without_a_batch_is_the_end_of_the_stream() -> None:
    assert await fetched(FetchRecordsResponse()) == []


async def test_a_batch_whose_records_this_version_cannot_read_is_not_taken_for_the_end() -> None:
    # What a headquarters of the link's first version answers: the records were messages then, in field 5.
    older = RecordBatch(stream=STREAM, epoch=1, first_sequence=1).SerializeToString() + b"\x2a\x02\x12\x00"
    with pytest.raises(ValidationFailed):
        await fetched(FetchRecordsResponse(batch=RecordBatch.FromString(older)))
