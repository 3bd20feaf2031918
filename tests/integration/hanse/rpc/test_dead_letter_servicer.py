"""Dead letters are shown, retried and discarded; what is held behind one follows it, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import text

from hanse.identity import Role
from hanse.log.sealing import texts_of
from hanse.rpc.client import RemoteError, remote_errors
from hanse.telling.receiving import MAX_TRIES
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.telling.v1 import dead_letters_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as events
from tests.integration.hanse.dead_letter_unit import OTHER, TICKET, UNIT, LetterUnit, id_of, name_of, refuse
from tests.integration.hanse.told import SCHEMA
from tests.support import MakeExecutor, MakeRuntime, Serve, told

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
async def unit(make_runtime: MakeRuntime, make_executor: MakeExecutor, serve: Serve) -> AsyncIterator[LetterUnit]:
    """A unit that can't apply `TicketOpened`, and could after a correction."""
    runtime = make_runtime(UNIT)
    unit = await LetterUnit.create(runtime, make_executor(runtime, SCHEMA), serve)
    yield unit
    unit.close()


async def test_a_letter_says_what_failed_why_how_often_and_in_which_trace(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened(), trace=f"00-{TRACE}-00f067aa0ba902b7-01")
    [letter] = await unit.letters()
    assert (letter.name, letter.reaction, letter.event_type, letter.resource) == (
        name_of(poison), "told.on_ticket", "hanse_protos.ticket.v1.TicketOpened", TICKET,
    )  # fmt: skip
    assert (letter.error, letter.tries, letter.trace_id, letter.state) == (
        "FailedPrecondition: the reason", MAX_TRIES, TRACE, pb.WAITING,
    )  # fmt: skip
    assert unit.effects() == []


async def test_the_event_is_shown_with_one_letter_and_not_in_the_list(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    [listed] = await unit.letters()
    shown = await unit.stub().GetDeadLetter(pb.GetDeadLetterRequest(name=name_of(poison)))
    assert (listed.HasField("event"), shown.event) == (False, Event.FromString(poison.event))


async def test_what_comes_later_about_the_ticket_is_held_and_other_tickets_go_on(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    later = await unit.tell(events.EngagementAccepted(), f"{TICKET}/engagements/e1")
    other = await unit.tell(events.TicketCommented(), OTHER)
    assert unit.effects() == [id_of(other)]
    assert await unit.states() == {id_of(poison): "WAITING", id_of(later): "HELD"}


async def test_what_has_no_effect_is_not_held(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    await unit.tell(events.TicketAssigned())
    assert list(await unit.states()) == [id_of(poison)]


async def test_a_retry_applies_the_letter_and_what_is_held_behind_it_in_order(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    later = [await unit.tell(events.TicketCommented()) for _ in range(3)]
    answer = await unit.retry(name_of(poison))
    assert (answer.state, answer.resolver, answer.tries) == (pb.APPLIED, f"{UNIT}/agents/wei", MAX_TRIES + 1)
    assert unit.effects() == [id_of(record) for record in (poison, *later)]
    assert set((await unit.states()).values()) == {"APPLIED"}


async def test_who_retried_stands_in_the_log(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    await unit.retry(name_of(poison))
    [(event, payload)] = await told(unit.runtime, SCHEMA)
    assert (event.actor, event.resource) == (f"{UNIT}/agents/wei", name_of(poison))
    assert payload == pb.DeadLetterRetried(reaction="told.on_ticket", event_id=id_of(poison))


async def test_a_retry_that_fails_again_leaves_nothing_but_its_new_error(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    later = await unit.tell(events.TicketCommented())
    unit.mended[events.TicketOpened] = refuse
    answer = await unit.retry(name_of(poison))
    assert (answer.state, answer.tries, answer.error) == (pb.WAITING, MAX_TRIES + 1, "FailedPrecondition: the reason")
    assert (unit.effects(), await told(unit.runtime, SCHEMA)) == ([], [])
    assert await unit.states() == {id_of(poison): "WAITING", id_of(later): "HELD"}


async def test_a_held_one_that_fails_waits_and_holds_the_rest(unit: LetterUnit) -> None:
    poison, second, third = [
        await unit.tell(payload)
        for payload in (events.TicketOpened(), events.TicketResolved(), events.TicketCommented())
    ]
    unit.mended[events.TicketResolved] = refuse
    await unit.retry(name_of(poison))
    assert await unit.states() == {id_of(poison): "APPLIED", id_of(second): "WAITING", id_of(third): "HELD"}
    assert unit.effects() == [id_of(poison)]


async def test_a_discarded_letter_says_who_when_and_why_and_lets_the_rest_go_on(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    later = await unit.tell(events.TicketCommented())
    answer = await unit.discard(name_of(poison), "a duplicate of another unit's")
    assert (answer.state, answer.resolver, answer.reason) == (
        pb.DISCARDED, f"{UNIT}/agents/wei", "a duplicate of another unit's",
    )  # fmt: skip
    assert answer.HasField("resolve_time")
    assert unit.effects() == [id_of(later)]


async def test_why_a_letter_was_discarded_is_sealed_in_the_log(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    await unit.discard(name_of(poison), "because of Mrs Wang")
    [(event, payload)] = await told(unit.runtime, SCHEMA)
    assert isinstance(payload, pb.DeadLetterDiscarded)
    assert b"Wang" not in event.SerializeToString()
    with unit.engine.connect() as connection:
        sealed = connection.scalar(text("SELECT sealed FROM told.log_record"))
    assert texts_of(sealed) == {"reason": "because of Mrs Wang"}


async def test_a_letter_that_is_told_again_is_not_tried(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    await unit.receive(poison.SerializeToString())
    assert [letter.tries for letter in await unit.letters()] == [MAX_TRIES]


@pytest.mark.parametrize("outcome", ["retry", "discard"])
async def test_what_was_decided_holds_when_the_fact_is_told_again(unit: LetterUnit, outcome: str) -> None:
    poison = await unit.tell(events.TicketOpened())
    await getattr(unit, outcome)(name_of(poison))
    before = unit.effects()
    unit.broken = unit.mended
    await unit.receive(poison.SerializeToString())
    assert unit.effects() == before


async def test_a_held_one_is_not_retried_before_the_one_that_waits(unit: LetterUnit) -> None:
    await unit.tell(events.TicketOpened())
    later = await unit.tell(events.TicketCommented())
    with pytest.raises(RemoteError) as raised:
        await unit.retry(name_of(later))
    assert (raised.value.reason, raised.value.metadata["from"]) == ("ILLEGAL_TRANSITION", "HELD")


@pytest.mark.parametrize("again", ["retry", "discard"])
async def test_what_is_resolved_is_not_decided_twice(unit: LetterUnit, again: str) -> None:
    poison = await unit.tell(events.TicketOpened())
    await unit.discard(name_of(poison))
    with pytest.raises(RemoteError) as raised:
        await getattr(unit, again)(name_of(poison))
    assert raised.value.reason == "ILLEGAL_TRANSITION"


async def test_a_repeated_retry_gets_its_first_answer(unit: LetterUnit) -> None:
    poison, request_id = await unit.tell(events.TicketOpened()), str(uuid4())
    assert await unit.retry(name_of(poison), request_id) == await unit.retry(name_of(poison), request_id)


async def test_what_comes_while_a_retry_is_under_way_waits_for_its_outcome(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    with unit.engine.begin() as connection:
        connection.execute(text("UPDATE told.dead_letter SET state = 'APPLIED'"))
        arriving = asyncio.create_task(unit.tell(events.TicketCommented()))
        await _somebody_waits(unit)
    later = await arriving
    assert unit.effects() == [id_of(later)]
    assert list(await unit.states()) == [id_of(poison)]


async def _somebody_waits(unit: LetterUnit) -> None:
    async with asyncio.timeout(30):
        with unit.engine.connect() as connection:
            while not connection.scalar(
                text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')")
            ):
                connection.rollback()
                await asyncio.sleep(0.02)


async def test_garbage_is_shown_fails_again_and_can_be_discarded(unit: LetterUnit) -> None:
    await unit.receive(b"\xff\xfe no record")
    [garbage] = await unit.letters()
    assert (garbage.event_type, garbage.tries) == ("", 1)
    assert (await unit.retry(garbage.name)).state == pb.WAITING
    assert (await unit.discard(garbage.name)).state == pb.DISCARDED


async def test_letters_are_listed_page_by_page_in_the_order_in_which_they_were_told(unit: LetterUnit) -> None:
    records = [await unit.tell(events.TicketOpened(), f"{UNIT}/tickets/{number}") for number in range(5)]
    listed, request = [], pb.ListDeadLettersRequest(parent=f"{UNIT}/services/told", page_size=2)
    while True:
        page = await unit.stub().ListDeadLetters(request)
        listed += [letter.event_id for letter in page.dead_letters]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == [id_of(record) for record in records]


async def test_only_operations_may_see_or_decide(unit: LetterUnit) -> None:
    poison = await unit.tell(events.TicketOpened())
    stub = unit.stub(Role.AGENT, Role.LEAD, Role.SYSTEM, Role.STANDARDS, Role.CONTROLLER)
    for call in (
        stub.ListDeadLetters(pb.ListDeadLettersRequest(parent=f"{UNIT}/services/-")),
        stub.GetDeadLetter(pb.GetDeadLetterRequest(name=name_of(poison))),
        stub.RetryDeadLetter(pb.RetryDeadLetterRequest(name=name_of(poison), request_id=str(uuid4()))),
        stub.DiscardDeadLetter(pb.DiscardDeadLetterRequest(name=name_of(poison), reason="x", request_id=str(uuid4()))),
    ):
        with pytest.raises(RemoteError) as raised, remote_errors():
            await call
        assert raised.value.reason == "ROLE_MISSING"


@pytest.mark.parametrize("parent", ["units/munich/services/told", f"{UNIT}/services/nothing"])
async def test_another_unit_s_and_unknown_letters_are_not_found(unit: LetterUnit, parent: str) -> None:
    with pytest.raises(RemoteError) as raised:
        await unit.retry(f"{parent}/deadLetters/{uuid4()}.on_ticket")
    assert raised.value.code == grpc.StatusCode.NOT_FOUND
    with pytest.raises(RemoteError) as raised, remote_errors():
        await unit.stub().ListDeadLetters(pb.ListDeadLettersRequest(parent=parent))
    assert raised.value.code == grpc.StatusCode.NOT_FOUND


async def test_a_page_token_of_another_list_is_refused(unit: LetterUnit) -> None:
    with pytest.raises(RemoteError) as raised, remote_errors():
        await unit.stub().ListDeadLetters(pb.ListDeadLettersRequest(parent=f"{UNIT}/services/-", page_token="WzFd"))
    assert raised.value.reason == "PAGE_TOKEN_INVALID"
