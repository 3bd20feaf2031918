"""Reactions apply what they are told once, in order, whatever dies in between. On both brokers, in a real process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hanse.local.postgres import EmbeddedPostgres
from hanse.log.follow import START, save_cursor
from hanse.telling.publishing import Publisher, Telling
from hanse.telling.receiving import MAX_TRIES
from hanse.telling.relay import FOLLOWER
from hanse_protos.ticket.v1 import events_pb2 as events
from tests.integration.hanse.told import POISON, SLOW, SUBSCRIPTIONS, TELLER
from tests.integration.hanse.told_unit import REPOSITORY, STREAMS, Broker, ToldUnit, eventually

TICKET = "units/shanghai/tickets/a"
STOP_SECONDS = 10.0
BROKER_DEATHS = 3
BURSTS = 60
BURST_PAUSE_SECONDS = 0.1
MANY_DEATHS_PATIENCE_SECONDS = 90.0
"""RabbitMQ takes some seconds to come back, and relay and reactions up to 15 more to find it."""


async def test_what_was_told_before_the_reactions_ran_is_applied_in_order(told_unit: ToldUnit) -> None:
    life = [events.TicketOpened(), events.TicketCommented(), events.TicketResolved()] * 10
    told = await told_unit.tell("ticket", *((TICKET, payload) for payload in life))
    async with told_unit.relaying():
        await told_unit.relayed("ticket", len(told))
        await told_unit.react()
        await told_unit.has_effects(told)


async def test_two_reactions_of_one_service_are_both_told(told_unit: ToldUnit) -> None:
    await told_unit.react()
    async with told_unit.relaying():
        own = await told_unit.tell("ticket", (TICKET, events.TicketOpened()))
        await told_unit.has_effects(own)
        foreign = await told_unit.tell("federation", (f"{TICKET}/engagements/e1", events.EngagementWorkNoted()))
        await told_unit.has_effects(own + foreign)


async def test_what_is_told_twice_has_its_effect_once(told_unit: ToldUnit) -> None:
    await told_unit.react()
    told = await told_unit.tell("ticket", (TICKET, events.TicketOpened()), (TICKET, events.TicketResolved()))
    async with told_unit.relaying():
        await told_unit.has_effects(told)
    await told_unit.database.write(save_cursor, TELLER.log, FOLLOWER, STREAMS["ticket"], START)
    async with told_unit.relaying():
        told += await told_unit.tell("ticket", (TICKET, events.TicketCommented()))
        await told_unit.has_effects(told)


async def test_a_type_without_an_effect_is_known_to_the_inbox(told_unit: ToldUnit) -> None:
    await told_unit.react()
    async with told_unit.relaying():
        [event_id] = await told_unit.tell("ticket", (TICKET, events.TicketAssigned()))

        async def is_received() -> bool:
            return told_unit.received(event_id)

        await eventually(is_received)
    assert told_unit.effects() == []


async def test_poison_becomes_a_dead_letter_after_its_tries_and_the_next_one_goes_on(told_unit: ToldUnit) -> None:
    await told_unit.react()
    async with told_unit.relaying():
        facts = [(TICKET, events.TicketOpened()), (POISON, events.TicketCommented()), (TICKET, events.TicketResolved())]
        before, poison, after = await told_unit.tell("ticket", *facts)
        await told_unit.has_effects([before, after])
    assert told_unit.dead_letters() == {poison: MAX_TRIES}
    assert not told_unit.received(poison)


async def test_garbage_becomes_a_dead_letter_at_once(told_unit: ToldUnit) -> None:
    await told_unit.react()
    publisher = Publisher(told_unit.broker.url, list(STREAMS), SUBSCRIPTIONS)
    await asyncio.to_thread(publisher.publish, [Telling("ticket", "ticket.opened", b"\xff\xfe no record")])
    publisher.close()

    async def is_buried() -> bool:
        return list(told_unit.dead_letters().values()) == [1]

    await eventually(is_buried)


async def test_a_broker_that_dies_loses_nothing_and_changes_no_order(told_unit: ToldUnit) -> None:
    async with told_unit.relaying():
        told = await told_unit.tell("ticket", *((SLOW, events.TicketCommented()) for _ in range(10)))
        await told_unit.relayed("ticket", len(told))
        await told_unit.react()
        await has_begun(told_unit)
        await told_unit.broker.kill()
        told += await told_unit.tell("ticket", (TICKET, events.TicketResolved()))
        await told_unit.broker.server.start()
        await told_unit.has_effects(told)
    assert told_unit.dead_letters() == {}


async def test_a_broker_that_dies_again_and_again_in_the_middle_of_a_stream_loses_and_doubles_nothing(
    told_unit: ToldUnit,
) -> None:
    await told_unit.react()
    told: list[str] = []

    async def go_on_telling() -> None:
        for number in range(BURSTS):
            life = (events.TicketOpened(), events.TicketCommented(), events.TicketResolved())
            told.extend(await told_unit.tell("ticket", *((f"{TICKET}{number}", payload) for payload in life)))
            await asyncio.sleep(BURST_PAUSE_SECONDS)

    async with told_unit.relaying():
        telling = asyncio.create_task(go_on_telling())
        for kill in range(1, BROKER_DEATHS + 1):
            so_far = kill * BURSTS // (BROKER_DEATHS + 1)

            async def has_come(so_far: int = so_far) -> bool:
                return len(told_unit.effects()) >= so_far

            await eventually(has_come, MANY_DEATHS_PATIENCE_SECONDS)
            await told_unit.broker.kill()
            await told_unit.broker.server.start()
        await telling
        await told_unit.has_effects(told, MANY_DEATHS_PATIENCE_SECONDS)
    assert told_unit.dead_letters() == {}


async def test_reactions_that_are_killed_again_and_again_lose_nothing_and_change_no_order(told_unit: ToldUnit) -> None:
    async with told_unit.relaying():
        told = await told_unit.tell("ticket", *((SLOW, events.TicketCommented()) for _ in range(12)))
        for _ in range(4):
            process = await told_unit.react()
            await asyncio.sleep(0.7)
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        await told_unit.react()
        await told_unit.has_effects(told)


async def test_what_is_being_applied_is_finished_before_the_process_stops(told_unit: ToldUnit) -> None:
    process = await told_unit.react()
    async with told_unit.relaying():
        told = await told_unit.tell("ticket", *((SLOW, events.TicketCommented()) for _ in range(20)))
        await has_begun(told_unit)
        began = time.monotonic()
        await process.stop(grace_seconds=STOP_SECONDS)
        assert await process.wait() == 0
        assert time.monotonic() - began < STOP_SECONDS
        done = told_unit.effects()
        assert done == told[: len(done)]
        await told_unit.react()
        await told_unit.has_effects(told)


async def test_the_process_stops_while_its_broker_is_away(told_unit: ToldUnit) -> None:
    await told_unit.broker.kill()
    process = await told_unit.react()
    await asyncio.sleep(1)
    await process.stop(grace_seconds=STOP_SECONDS)
    assert await process.wait() == 0


async def test_a_database_that_is_away_makes_facts_wait_and_no_dead_letters(broker: Broker, tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        unit = ToldUnit(await postgres.ensure_database("unit"), tmp_path, broker)
        unit.create_tables()
        try:
            await unit.react()
            async with unit.relaying():
                told = await unit.tell("ticket", *((SLOW, events.TicketCommented()) for _ in range(10)))
                await has_begun(unit)
                await postgres.stop()
                # Longer than all tries of a message take: one that counted against the message would be a dead letter.
                await asyncio.sleep(4)
                await postgres.start()
                await unit.has_effects(told)
            assert unit.dead_letters() == {}
        finally:
            await unit.close()
            broker.delete(SUBSCRIPTIONS)


async def test_the_process_stops_while_its_database_is_away(broker: Broker, tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        unit = ToldUnit(await postgres.ensure_database("unit"), tmp_path, broker)
        unit.create_tables()
        try:
            process = await unit.react()
            async with unit.relaying():
                await unit.tell("ticket", *((SLOW, events.TicketCommented()) for _ in range(10)))
                await has_begun(unit)
            await postgres.stop()
            await asyncio.sleep(1)
            await process.stop(grace_seconds=STOP_SECONDS)
            assert await process.wait() == 0
        finally:
            await unit.close()
            broker.delete(SUBSCRIPTIONS)


def test_the_queues_have_the_names_that_nameko_gives_them() -> None:
    printed = run("""
        from nameko.events import event_handler
        from nameko.containers import ServiceContainer

        class Told:
            name = "told"

            @event_handler("ticket", "ticket.*")
            def on_ticket(self, message): ...

        container = ServiceContainer(Told, {"AMQP_URI": "amqp://"})
        [handler] = container.entrypoints
        handler.setup()
        print(handler.queue.name, handler.queue.exchange.name, handler.queue.exchange.type, handler.queue.routing_key)
    """)
    queue = SUBSCRIPTIONS[1].queue
    assert printed.split() == [queue.name, queue.exchange.name, queue.exchange.type, queue.routing_key]


def test_the_process_of_reactions_has_neither_grpc_nor_temporal() -> None:
    printed = run("""
        import hanse_services.react as react
        import sys
        for path in react.REACTIONS:
            react.load(path)
        print(sorted({"grpc", "temporalio", "hanse.rpc.server"} & set(sys.modules)))
    """)
    assert printed.strip() == "[]"


def test_the_relay_declares_just_what_the_reactions_subscribe_to() -> None:
    run("""
        import hanse_services.react as react
        for path in react.REACTIONS:
            react.check(path, react.load(path))
    """)


def test_a_dead_letter_is_retried_with_the_effects_of_its_reactions() -> None:
    run("""
        import sys
        from importlib import import_module
        from hanse.cli.roles import EFFECTS
        from hanse_services.subscriptions import REACTIONS
        retried = {}
        for path in REACTIONS:
            module, _, name = path.partition(":")
            retried[getattr(import_module(module), name).name] = import_module(module).EFFECTS
        assert retried == EFFECTS, (retried, EFFECTS)
    """)


async def has_begun(unit: ToldUnit) -> None:
    """Wait until the first effect is there, so that the next one is under way."""

    async def has() -> bool:
        return bool(unit.effects())

    await eventually(has)


def run(script: str) -> str:
    """Run a script in a process of its own, and return what it printed."""
    lines = [line.removeprefix(" " * 8) for line in script.splitlines()]
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join(lines)],
        check=False, capture_output=True, text=True, timeout=60, cwd=REPOSITORY,
    )  # fmt: skip
    if finished.returncode != 0:
        pytest.fail(finished.stderr)
    return finished.stdout
