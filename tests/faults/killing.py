"""Commands while every process is killed in turn, and the line and the clock fail: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hanse.names import HEADQUARTERS
from tests.faults import standards
from tests.faults.clients import Clients, DeskSession, Partner, Provider
from tests.faults.concluding import AGREEMENT_SECONDS, PATIENCE_SECONDS, conclude
from tests.faults.group import EACH_ALONE, FEWER, FaultGroup, part_name
from tests.faults.injection import Injector
from tests.faults.report import Report
from tests.faults.schedule import Plan, in_turn

SHANGHAI = "units/shanghai"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for, and how often each part fails."""

    commands: int
    """At least; the clients go on until the last fault has healed."""
    rounds: int
    line_failures: int
    longest_seconds: float
    pause_seconds: float
    rate: float
    sessions: int
    agreement_seconds: float = AGREEMENT_SECONDS


SHORT = Size(
    commands=500,
    rounds=1,
    line_failures=3,
    longest_seconds=12.0,
    pause_seconds=2.5,
    rate=30.0,
    sessions=6,
    agreement_seconds=PATIENCE_SECONDS,
)
# Many sessions: with something dead at nearly every moment most of them wait, and the others have to keep the rate.
FULL = Size(
    commands=20_000, rounds=20, line_failures=1, longest_seconds=20.0, pause_seconds=5.0, rate=18.0, sessions=40
)


def plan_of(size: Size) -> Plan:
    """Return what fails: each process of a unit, the hub, both servers that hold data, the line, and the clock."""
    killed = [part_name(SHANGHAI, roles) for roles in EACH_ALONE]
    hub = [part_name(HEADQUARTERS, role) for role in ("federate", "work")]
    return Plan(
        parts=(*killed, *hub, "postgres", "broker"),
        units=(SHANGHAI,),
        clocks=(SHANGHAI,),
        relays=(part_name(SHANGHAI, "relay"),),
        rounds=size.rounds,
        line_failures=size.line_failures,
        longest_seconds=size.longest_seconds,
        pause_seconds=size.pause_seconds,
    )


async def run(folder: Path, seed: int, size: Size) -> Report:
    """Run it once and return what it found."""
    report = Report("kill everything in turn", seed)
    layout = {HEADQUARTERS: FEWER, SHANGHAI: EACH_ALONE}
    async with FaultGroup(folder, layout, own_clocks=True, networks=True) as group:
        await standards.publish(group)
        clients = Clients(report.history, seed, size.rate)
        injector = Injector(group)
        async with asyncio.TaskGroup() as work:
            for client in _clients(group, clients, size.sessions):
                work.create_task(client.run())
            await injector.run(in_turn(seed, plan_of(size)))
            await clients.until_sent(size.commands)
            clients.stopping.set()
        await conclude(group, report, agreement_seconds=size.agreement_seconds)
        report.faults, report.healed_seconds = injector.done, injector.healed_seconds
    report.save(folder)
    return report


def _clients(group: FaultGroup, clients: Clients, sessions: int) -> Sequence[DeskSession | Provider | Partner]:
    home, headquarters = group.settings(SHANGHAI), group.settings(HEADQUARTERS)
    desks = [DeskSession(clients, home, number, engage=0.25) for number in range(sessions)]
    return [*desks, Provider(clients, headquarters), Partner(clients, home)]
