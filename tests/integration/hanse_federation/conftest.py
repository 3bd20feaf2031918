"""A group on one machine: headquarters with its hub, units with their agents, and a line between each pair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.hanse_federation.group import Group, Unit, start_unit
from tests.support import MakeRuntime


@pytest.fixture
async def group(make_runtime: MakeRuntime) -> AsyncIterator[Group]:
    """Headquarters with its hub. `await group.unit("units/munich")` adds a unit whose agent runs."""
    async with AsyncExitStack() as stack:
        group = Group(make_runtime, stack)
        await group.start()
        yield group


@pytest.fixture
async def munich(group: Group) -> Unit:
    """Munich, whose line is up."""
    return await start_unit(group, "units/munich")


@pytest.fixture
async def shanghai(group: Group) -> Unit:
    """Shanghai, whose line is up."""
    return await start_unit(group, "units/shanghai")
