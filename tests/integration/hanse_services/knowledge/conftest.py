"""The knowledge service of one unit, on a real database."""

from __future__ import annotations

import pytest

from hanse.migrations import service_migrations
from hanse.policy.store import PolicyStore
from hanse_services.knowledge.model import SCHEMA
from tests.integration.hanse_services.knowledge.support import MUNICH, Knowledge
from tests.support import MakeExecutor, MakeRuntime, small_policy


@pytest.fixture
async def knowledge(make_runtime: MakeRuntime, make_executor: MakeExecutor) -> Knowledge:
    """What Munich knows: nothing yet, but the policy is in force."""
    runtime = make_runtime(MUNICH, service_migrations("hanse_services.knowledge"))
    await runtime.database.write(PolicyStore(SCHEMA).enact, small_policy())
    return Knowledge(runtime, make_executor(runtime, SCHEMA))
