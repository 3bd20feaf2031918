"""Opening a batch: nothing is believed that its hashes don't prove."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from hanse.errors import FactUnreadable, LogFork, ValidationFailed
from hanse.log.append import Head
from hanse.log.sealing import digests_of, seal
from hanse_federation.link.receiving import Interest, open_batch
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.log.v1.log_pb2 import Event, SealedField
from hanse_protos.ticket.v1.events_pb2 import TicketOpened
from tests.batches import altered, chained, last_hash

STREAM = "units/munich/streams/ticket"
OPENED = TicketOpened.DESCRIPTOR.full_name
EVERY_OPENED = {OPENED: Interest(TicketOpened, every=True)}
LAST_OPENED = {OPENED: Interest(TicketOpened, every=False)}


def event(**fields: object) -> Event:
    """Return an event on a ticket."""
    return Event(event_id=str(uuid4()), unit="units/munich", type=OPENED, **fields)  # type: ignore[arg-type]


def batch_of(*contents: bytes, previous: bytes = b"", first: int = 1) -> RecordBatch:
    """Return a batch whose hashes are right."""
    return chained(STREAM, contents, previous=previous, first=first)


def three_tickets() -> RecordBatch:
    """Return a batch of an event on each of three tickets."""
    return batch_of(*(event(resource=resource).SerializeToString() for resource in ("t1", "t2", "t3")))


def test_a_sound_batch_opens_to_its_last_head() -> None:
    batch = batch_of(event().SerializeToString(), event().SerializeToString(), previous=b"p" * 32, first=5)
    assert open_batch(batch, {}).end == Head(1, 6, last_hash(batch))


def test_the_instant_of_an_event_is_exact_to_the_microsecond() -> None:
    instant = datetime(2026, 11, 23, 9, 30, 15, 123456, tzinfo=UTC)
    batch = batch_of(event(occur_time=instant).SerializeToString())
    assert open_batch(batch, EVERY_OPENED).facts[0].occur_time == instant


def test_a_payload_is_opened_where_it_is_asked_for() -> None:
    payload = TicketOpened()
    payload.ticket.name = "units/munich/tickets/t1"
    batch = batch_of(event(payload=payload.SerializeToString()).SerializeToString())
    assert open_batch(batch, EVERY_OPENED).facts[0].payload == payload
    assert open_batch(batch, {}).facts == []


def test_where_only_the_last_of_a_resource_counts_the_ones_before_it_stay_closed() -> None:
    contents = [event(resource=resource).SerializeToString() for resource in ("t1", "t2", "t1", "t3")]
    opened = open_batch(batch_of(*contents), LAST_OPENED)
    assert [(fact.sequence, fact.event.resource) for fact in opened.facts] == [(2, "t2"), (3, "t1"), (4, "t3")]


def test_swapped_records_are_a_fork() -> None:
    batch = three_tickets()
    batch.events[:] = [batch.events[1], batch.events[0], batch.events[2]]
    with pytest.raises(LogFork):
        open_batch(batch, {})


def test_another_place_is_a_fork() -> None:
    batch = batch_of(event().SerializeToString())
    batch.first_sequence = 2
    with pytest.raises(LogFork):
        open_batch(batch, {})


def test_a_sealed_field_that_says_something_else_is_a_fork() -> None:
    sealed = seal({"title": "true"})
    batch = batch_of(event(sealed_digests=digests_of(sealed)).SerializeToString())
    other = SealedField(field="title", salt=sealed.fields[0].salt, value="false")
    with pytest.raises(LogFork):
        open_batch(altered(batch, 0, sealed=[other]), {})


def test_a_sealed_field_belongs_to_the_record_that_it_names() -> None:
    sealed = seal({"title": "true"})
    contents = [event(resource="t1"), event(resource="t2", sealed_digests=digests_of(sealed))]
    batch = chained(STREAM, [content.SerializeToString() for content in contents], sealed={1: sealed.fields})
    assert open_batch(batch, {}).texts_about == {"t2"}
    batch.sealed[0].index = 0
    with pytest.raises(LogFork):
        open_batch(batch, {})


@pytest.mark.parametrize(
    "indices", [[-1], [3], [2**31 - 1], [1, 1]], ids=["negative", "behind the last", "far behind", "one twice"]
)
def test_sealed_fields_of_no_record_or_of_one_twice_are_refused(indices: list[int]) -> None:
    batch = three_tickets()
    for index in indices:
        batch.sealed.add(index=index)
    with pytest.raises(ValidationFailed, match="sealed fields"):
        open_batch(batch, {})


@pytest.mark.parametrize("size_bytes", [0, 32, 64, 95, 97, 128], ids=lambda size_bytes: f"{size_bytes} bytes")
def test_hashes_that_are_not_one_for_each_event_are_refused(size_bytes: int) -> None:
    batch = three_tickets()
    batch.hashes = (batch.hashes + bytes(32))[:size_bytes]
    with pytest.raises(ValidationFailed, match="not one hash for each record"):
        open_batch(batch, {})


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xff\xff",
        Event(event_id="x").SerializeToString(),
        event(occur_time=Timestamp(seconds=300_000_000_000)).SerializeToString(),
    ],
    ids=["no message", "no identity", "no time that there is"],
)
def test_bytes_that_are_no_event_are_refused(content: bytes) -> None:
    before, after = event().SerializeToString(), event().SerializeToString()
    for contents, sequence in (([content], "1"), ([before, content, after], "2")):
        with pytest.raises(FactUnreadable) as raised:
            open_batch(batch_of(*contents), EVERY_OPENED)
        assert raised.value.metadata["sequence"] == sequence


def test_a_payload_that_is_none_is_a_fact_with_a_problem() -> None:
    contents = [event().SerializeToString(), event(payload=b"\xff").SerializeToString()]
    facts = open_batch(batch_of(*contents), EVERY_OPENED).facts
    assert [bool(fact.problem) for fact in facts] == [False, True]


def test_a_place_beyond_the_last_number_is_refused() -> None:
    batch = three_tickets()
    batch.first_sequence = 2**63 - 1
    with pytest.raises(ValidationFailed):
        open_batch(batch, {})


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValidationFailed):
        open_batch(batch_of(), {})
