"""A series of runs is gone on with where it was: what has passed stands, what has failed is run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.__main__ import Choice
from tests.faults.killing import FULL, SHORT
from tests.faults.report import Report
from tests.faults.results import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def test_what_was_never_run_has_not_passed(results: Results) -> None:
    assert not results.has_passed("killing")


def test_what_has_passed_stands(results: Results) -> None:
    results.keep("killing", "", "", [Report("kill everything in turn", 1)])
    assert results.has_passed("killing")


def test_what_has_failed_is_run_again(results: Results) -> None:
    results.keep("killing", "", "", [Report("one", 1), Report("another", 1, misses=["too late"])])
    assert not results.has_passed("killing")


def test_a_share_asks_for_less_and_not_for_something_else() -> None:
    chosen = Choice(short=False, share=0.1).of(SHORT, FULL)
    assert (chosen.commands, chosen.rounds, chosen.rate) == (2_000, 2, FULL.rate)


def test_the_whole_share_is_the_full_size() -> None:
    assert Choice(short=False, share=1.0).of(SHORT, FULL) == FULL
