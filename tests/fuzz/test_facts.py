"""Whatever a fact says, headquarters and a unit's reactions take it in or set it apart, and go on.

Batches here are chained as they should be and every event is well-formed: what is random is what the facts say. So
they reach all that is behind the checks of a link: views, engagements, what is passed on, and effects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from hanse.cli.roles import EFFECTS
from hanse.cli.schemas import migrate_all
from hanse.local.postgres import EmbeddedPostgres
from hanse.log.append import Entry, Head
from hanse.log.events import Origin, new_event, short_type
from hanse.log.follow import read_head
from hanse.names import HEADQUARTERS, downstream_name, stream_name
from hanse.schema import ServiceSchema
from hanse.telling.receiving import Receiver, open_engine
from hanse_federation.headquarters.absorbing import INTERESTS
from hanse_federation.headquarters.views import list_group_tickets
from hanse_federation.model import LOG
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.federation.v1.link_pb2 import HubFrame, UnitFrame
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.ticket.v1 import events_pb2 as told
from tests.batches import chained, last_hash
from tests.fuzz.effort import FEWER
from tests.fuzz.strategies import Known, mutated, requests
from tests.fuzz.target import Target, rpcs
from tests.integration.hanse_federation.group import hello, summary
from tests.integration.hanse_federation.scripted import speak_as
from tests.support import OCCUR_TIME

MUNICH = "units/munich"
STREAM, DOWNSTREAM = stream_name(MUNICH, "ticket"), downstream_name(MUNICH)
TICKETS = tuple(f"{MUNICH}/tickets/{name}" for name in ("t1", "t2"))
ENGAGEMENTS = tuple(f"{name}/engagements/e1" for name in TICKETS)
OTHERS = ("units/shanghai/tickets/t1/engagements/e1", "charges/munich.t1.e1", "charges/shanghai.t1.e1")
KNOWN = Known(
    (MUNICH, "units/shanghai", HEADQUARTERS, *TICKETS, *ENGAGEMENTS, "policies/1", "display", "EUR"),
    (
        ("name", (*TICKETS, *ENGAGEMENTS, f"{TICKETS[0]}/complaints/c1", f"{TICKETS[0]}/escalations/x1", *OTHERS)),
        ("home", (MUNICH, "units/shanghai")),
        ("provider", (MUNICH, HEADQUARTERS)),
    ),
)
READERS = {
    name: GetMessageClass(method.input_type)
    for name, method in rpcs().items()
    if method.containing_service.name in {"GroupService", "GroupComplaintService", "LinkService"}
    and (method.name.startswith("List") or method.name in {"GetGroupAttainment", "GetTrafficReport"})
}
"""What reads what is made of facts, with the classes of the requests."""
MAX_ROUNDS = 50
"""How often a reaction may sleep over one message: it sleeps between its five tries, and where it waits for ever."""


def facts(payload: type[Message], writer: str) -> st.SearchStrategy[Entry]:
    """Return events of a type whose payload is random: by its contract, against it, or not even one."""
    contents = requests(payload, KNOWN).map(partial(_event, writer))
    return st.one_of(contents, contents, contents, mutated(payload, KNOWN).map(partial(_garbled, payload, writer)))


def _event(writer: str, payload: Message) -> Entry:
    return new_event(Origin(writer, f"{writer}/agents/li", policy_version=1), _about(payload), payload, OCCUR_TIME)


def _about(payload: Message) -> str:
    """Return what a fact is about: what it names itself, where that is a name."""
    for field in ("escalation", "complaint", "engagement", "charge", "article", "ticket"):
        name: Any = getattr(getattr(payload, field, None), "name", "")
        if isinstance(name, str) and 0 < len(name) < 200 and "\0" not in name:
            return name
    return TICKETS[0]


def _garbled(payload: type[Message], writer: str, content: bytes) -> Entry:
    entry = _event(writer, payload())
    event = Event.FromString(entry.event)
    event.payload = content
    return Entry(entry.event_id, entry.resource, entry.type, entry.occur_time, event.SerializeToString(), None)


class Entries(list[Entry]):
    """Events; all of what they say is too much to be shown."""

    def __repr__(self) -> str:
        """Return their types."""
        return ", ".join(short_type(entry.type) for entry in self)


def one_of_each(payloads: Sequence[type[Message]], writer: str = MUNICH) -> st.SearchStrategy[Entries]:
    """Return an event of each type, in any order."""
    orders = st.permutations(payloads)
    return orders.flatmap(lambda order: st.tuples(*(facts(each, writer) for each in order)).map(Entries))


# Headquarters.


async def tell(target: Target, entries: Sequence[Entry]) -> None:
    """Tell headquarters something as Munich, and hear that it has committed it."""
    head: Head = await target.runtime.database.read(read_head, LOG, STREAM)
    batch = chained(STREAM, [entry.event for entry in entries], first=head.sequence + 1, previous=head.hash)
    frames = [hello(MUNICH).SerializeToString(), UnitFrame(unit=MUNICH, batch=batch).SerializeToString()]
    async with speak_as(target.unit_folder(MUNICH), target.hub.port) as exchange:
        call = exchange()
        for frame in frames:
            await call.write(frame)
        said = HubFrame()
        async for answer in call:
            said = HubFrame.FromString(answer)
            if said.WhichOneof("frame") == "acknowledgement":
                break
        call.cancel()
    assert said.acknowledgement.head.hash == last_hash(batch)


async def forget_what_was_set_apart(target: Target) -> None:
    """Forget it: what is held behind it would reach nothing any more."""
    async with target.runtime.database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM federation.dead_letter"))


def test_headquarters_takes_in_or_sets_apart_whatever_a_unit_tells(target: Target) -> None:
    payloads = [interest.payload for interest in INTERESTS.values()]

    async def take(entries: Sequence[Entry]) -> None:
        await tell(target, entries)
        await forget_what_was_set_apart(target)
        for rpc, request_class in READERS.items():
            request: Any = request_class()
            if "parent" in request.DESCRIPTOR.fields_by_name:
                request.parent = "units/-"
            assert await target.call(rpc, request.SerializeToString()) == "OK", rpc

    @FEWER
    @given(one_of_each(payloads))
    def send(entries: Entries) -> None:
        target.run(take(entries))

    send()
    name = f"{MUNICH}/tickets/{uuid4()}"
    target.run(tell(target, [_event(MUNICH, told.TicketOpened(ticket=summary(name)))]))
    request = group_pb2.ListGroupTicketsRequest(parent=MUNICH, page_size=1_000)
    shown = target.run(target.runtime.database.read(list_group_tickets, request))
    assert name in {each.ticket.name for each in shown.tickets}


# A unit's reactions.


@pytest.fixture(scope="module")
async def engine(postgres: EmbeddedPostgres) -> AsyncIterator[Engine]:
    """A database of Munich's for its reactions."""
    url = await postgres.ensure_database("fuzz_reactions")
    migrate_all(url)
    engine = open_engine(url)
    yield engine
    engine.dispose()


def receiver_of(engine: Engine, service: str) -> Callable[[Entry], None]:
    """Return what hears facts as a service's reactions do, and gives up where they would wait for ever."""
    rounds = count()

    def sleep(_seconds: float) -> None:
        assert next(rounds) < MAX_ROUNDS, "a reaction waits for the database, which is there"

    receiver = Receiver(engine, ServiceSchema(service), MUNICH, sleep=sleep)

    def receive(entry: Entry) -> None:
        nonlocal rounds
        rounds = count()
        record = LogRecord(stream=DOWNSTREAM, epoch=1, sequence=1, event=entry.event)
        receiver.receive(record.SerializeToString(), EFFECTS[service], f"{service}.fuzz")

    return receive


def letters(engine: Engine, service: str, *, forget: bool = False) -> int:
    """Return how many dead letters a service has, and forget them where that is asked for."""
    with engine.begin() as connection:
        found = int(connection.scalar(text(f"SELECT count(*) FROM {service}.dead_letter")) or 0)  # noqa: S608
        if forget:
            connection.execute(text(f"DELETE FROM {service}.dead_letter"))  # noqa: S608
    return found


@pytest.mark.parametrize("service", sorted(EFFECTS))
def test_a_reaction_applies_or_buries_whatever_it_is_told(engine: Engine, service: str) -> None:
    receive = receiver_of(engine, service)

    @FEWER
    @given(st.sampled_from([HEADQUARTERS, "units/shanghai"]).flatmap(partial(one_of_each, [*EFFECTS[service]])))
    def send(entries: Entries) -> None:
        for entry in entries:
            receive(entry)
        letters(engine, service, forget=True)

    send()
    erased = f"units/shanghai/tickets/{uuid4()}"
    receive(_event("units/shanghai", told.TicketErased(ticket=summary(erased))))
    assert letters(engine, service) == 0
