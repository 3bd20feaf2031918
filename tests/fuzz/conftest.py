"""The target of the fuzzing, one for all its tests, and the summary of a long run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from hanse.local.postgres import EmbeddedPostgres
from tests.fuzz.effort import EXAMPLES_VARIABLE
from tests.fuzz.target import Target, answers, target_on
from tests.support import MakeUnitFolder


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
