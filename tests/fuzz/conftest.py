"""The target of the fuzzing, one for all its tests, and the summary of a long run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from hanse.local.postgres import EmbeddedPostgres
from tests.fuzz.target import Target, answers, target_on
from tests.support import MakeUnitFolder

EXAMPLES_VARIABLE = "HANSE_FUZZ_EXAMPLES"
CI_EXAMPLES = 8
"""How many inputs of each kind an rpc gets in CI, always the same: enough to reach every rpc's own code."""

_asked = os.environ.get(EXAMPLES_VARIABLE)
settings.register_profile(
    "fuzz",
    max_examples=int(_asked or CI_EXAMPLES),
    derandomize=_asked is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # The servers keep what an input did: to make a failing one smaller would be another story each time.
    phases=[Phase.generate],
    print_blob=False,
)
settings.load_profile("fuzz")


@pytest.fixture(scope="session")
async def target(postgres: EmbeddedPostgres, unit_folder: MakeUnitFolder) -> AsyncIterator[Target]:
    """Headquarters with every service, for all tests of this folder."""
    async with target_on(postgres, unit_folder) as target:
        yield target


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each rpc answered, after a long run."""
    if EXAMPLES_VARIABLE not in os.environ:
        return
    terminalreporter.section("what each rpc answered")
    for rpc, counted in sorted(answers.items()):
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common())
        terminalreporter.write_line(f"{rpc.rpartition('.')[2]}: {counted.total()} inputs: {outcomes}")
