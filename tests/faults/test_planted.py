"""The checker itself works: it finds each planted bug, and nothing in the correct product under the same faults."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.group import FaultGroup
from tests.faults.planted import SCENES, Scene, prove, stage_for, verdict
from tests.faults.report import summary_of

SEED = 1


@pytest.fixture(scope="module")
async def group(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FaultGroup]:
    async with stage_for(tmp_path_factory.mktemp("planted")) as group:
        yield group


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.bug)
async def test_the_checker_finds_the_bug_and_passes_the_correct_product(group: FaultGroup, scene: Scene) -> None:
    correct, broken = await prove(group, scene, SEED)
    print(f"{scene.bug}: found by {summary_of(broken.problems) or 'nothing'}")
    if verdict(correct, broken):
        correct.show()
        broken.show()
    assert verdict(correct, broken) == ""
