"""`hanse policy` on files, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hanse.cli.policy import app

POLICIES = Path(__file__).parents[4] / "policies"


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    file = tmp_path / "stricter.yaml"
    file.write_text((POLICIES / "group.yaml").read_text().replace("resolution: 4h", "resolution: 3h", 1))
    return file


def test_a_difference_is_shown_with_the_id_of_its_rule(stricter: Path) -> None:
    printed = CliRunner().invoke(app, ["diff", str(POLICIES / "group.yaml"), str(stricter)])
    assert "targets[p1].resolution  4h      3h" in printed.stdout


def test_documents_that_say_the_same_have_no_difference() -> None:
    printed = CliRunner().invoke(app, ["diff", *[str(POLICIES / "group.yaml")] * 2, "--json"])
    assert printed.stdout.strip().replace("\n", "") == '{  "differences": []}'


def test_a_dropped_category_and_a_dropped_unit_are_warned_of(tmp_path: Path) -> None:
    file, text = tmp_path / "renamed.yaml", (POLICIES / "group.yaml").read_text()
    renamed = text.replace("- id: network\n", "- id: networks\n", 1)
    file.write_text(renamed.replace("- unit: units/munich", "- unit: units/oslo"))
    printed = CliRunner().invoke(app, ["diff", str(POLICIES / "group.yaml"), str(file)])
    assert "warning categories[network]:" in printed.stderr
    assert "warning units[units/munich]:" in printed.stderr
    assert "networks" not in printed.stderr
