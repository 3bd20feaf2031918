"""Eventual agreement: five units, chaos by the seed, then quiet; every stream is the same at both ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from hanse.names import HEADQUARTERS
from tests.faults import standards
from tests.faults.clients import Clients, DeskSession, Provider
from tests.faults.concluding import AGREEMENT_SECONDS, PATIENCE_SECONDS, conclude
from tests.faults.group import FEWER, FaultGroup, part_name
from tests.faults.injection import Injector
from tests.faults.report import Report
from tests.faults.schedule import Plan, at_random

UNITS = ("units/aachen", "units/bergen", "units/cork", "units/delft", "units/evora")
ROLES = ("serve relay", "react", "federate")


@dataclass(frozen=True, slots=True)
class Size:
    """How many units, and for how long things go wrong."""

    units: int
    seconds: float
    pause_seconds: float
    rate: float
    agreement_seconds: float = AGREEMENT_SECONDS


SHORT = Size(units=2, seconds=30.0, pause_seconds=1.5, rate=20.0, agreement_seconds=PATIENCE_SECONDS)
FULL = Size(units=5, seconds=300.0, pause_seconds=2.0, rate=20.0)


async def run(folder: Path, seed: int, size: Size) -> Report:
    """Run it once and return what it found."""
    report = Report(f"eventual agreement of {size.units} units", seed)
    units = UNITS[: size.units]
    plan = Plan(
        parts=(
            *(part_name(unit, roles) for unit in units for roles in ROLES),
            "hq.hub",
            "hq.work",
            "postgres",
            "broker",
        ),
        units=units,
        clocks=units,
        relays=[part_name(unit, "serve relay") for unit in units],
        pause_seconds=size.pause_seconds,
    )
    async with FaultGroup(
        folder, {HEADQUARTERS: FEWER, **dict.fromkeys(units, ROLES)}, own_clocks=True, networks=True
    ) as group:
        await standards.publish(group)
        clients, injector = Clients(report.history, seed, size.rate), Injector(group)
        async with asyncio.TaskGroup() as work:
            for unit in units:
                settings = group.settings(unit)
                work.create_task(DeskSession(clients, settings, 0, engage=0.3).run())
                work.create_task(DeskSession(clients, settings, 1, engage=0.3).run())
                work.create_task(Provider(clients, settings).run())
            await injector.run(at_random(seed, plan, size.seconds))
            clients.stopping.set()
        await conclude(group, report, agreement_seconds=size.agreement_seconds)
        report.faults, report.healed_seconds = injector.done, injector.healed_seconds
    report.save(folder)
    return report
