"""The reference says what the code says."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer.main
from google.protobuf.message import Message

from hanse.cli.incident_log import COLUMNS, count, fold, read
from hanse.cli.main import app
from hanse.telling.names import routing_key
from hanse_federation.headquarters.forwarding import RULES
from hanse_protos.federation.v1 import membership_pb2
from hanse_protos.gateway.v1 import gateway_pb2
from hanse_protos.knowledge.v1 import knowledge_pb2
from hanse_protos.log.v1 import log_pb2
from hanse_protos.policy.v1 import draft_pb2, policy_pb2, tuning_pb2
from hanse_protos.settlement.v1 import settlement_pb2
from hanse_protos.telling.v1 import dead_letters_pb2
from hanse_protos.ticket.v1 import events_pb2

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAST_TENSE = re.compile(r"(Article|Policy|Tuning|Charge|Partner|DeadLetter|Unit|Epoch)[A-Z]\w*(ed|d|wn)")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([\w./-]+\.(?:py|proto|yaml|toml|lock|sh|csv))`")
PAGES = sorted(DOCS.rglob("*.md"))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", REFERENCE / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["errors.md", "roles.md", "settings.md"])
def test_a_generated_table_is_up_to_date(page: str) -> None:
    assert (REFERENCE / page).read_text() == generator().page(page), "run: python docs/reference/generate.py"


def events() -> set[str]:
    """Return the short names of all events of the contracts."""
    others = (
        log_pb2,
        knowledge_pb2,
        policy_pb2,
        draft_pb2,
        settlement_pb2,
        tuning_pb2,
        gateway_pb2,
        dead_letters_pb2,
        membership_pb2,
    )
    found = {
        name for module in others for name in module.DESCRIPTOR.message_types_by_name if PAST_TENSE.fullmatch(name)
    }
    return found | {*events_pb2.DESCRIPTOR.message_types_by_name}


def rows() -> Iterator[list[str]]:
    """Yield the rows of the tables of events."""
    for line in (REFERENCE / "events.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            yield [cells[0].strip("`"), *cells[1:]]


def test_every_event_is_listed_once() -> None:
    listed = [row[0] for row in rows()]
    assert sorted(listed) == sorted(events())


def test_what_is_sealed_is_said_as_in_the_contracts() -> None:
    sealed = {row[0]: row[2] for row in rows()}
    for path in (ROOT / "protos/hanse_protos").rglob("*.proto"):
        for texts, event in re.findall(r"// [^\n]*Sealed: (.+)\.\nmessage (\w+)", path.read_text()):
            said = re.sub(r'"(.*)"', r"\1", texts.replace(" and ", " ")).split(" for ")[0]
            assert sealed[event] == said, event


def test_what_is_passed_on_is_said_to_reach_other_units() -> None:
    passed_on = {payload.DESCRIPTOR.name for payload in RULES if issubclass(payload, Message)}
    # It is in the rules since it begins an engagement, and has nobody on the other side.
    passed_on -= {"EngagementImported"}
    decided = {row[0] for row in rows() if row[1] == "headquarters"}
    reaches = {row[0] for row in rows() if row[3] != "–"}
    assert reaches == passed_on | decided


def test_an_event_is_told_under_the_key_that_the_pages_name() -> None:
    assert routing_key("hanse_protos.ticket.v1.EngagementWorkNoted") == "engagement.work_noted"


def test_the_incident_log_page_names_every_column() -> None:
    text = (REFERENCE / "incident-log.md").read_text()
    assert [column for column in COLUMNS if f"`{column}`" not in text] == []


def test_the_sample_is_what_the_page_says() -> None:
    log = read(REFERENCE / "sample-incidents.csv")
    counted = count(log, fold(log, 3))
    said = (
        f"{len(log.incidents)} incidents, {log.changes} changes, {counted.hand_overs.total()} hand-overs, "
        f"{counted.ping_pong_returns} returns of {counted.ping_pong_tickets} incidents"
    )
    assert log.broken == []
    assert said in (REFERENCE / "incident-log.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_file_that_the_architecture_names_exists() -> None:
    shortened = {
        "ticket/": "services/hanse_services/ticket/",
        "knowledge/": "services/hanse_services/knowledge/",
        "settlement/": "services/hanse_services/settlement/",
        "federation/": "federation/hanse_federation/",
        "workflows/": "workflows/hanse_workflows/",
        "…/": "gateway/hanse_gateway/",
        "policies/": "policies/",
    }
    missing = []
    for name in CODE.findall((DOCS / "architecture.md").read_text()):
        long = [full + name.removeprefix(short) for short, full in shortened.items() if name.startswith(short)]
        if "/" in name and not any((ROOT / path).exists() for path in [name, *long]):
            missing.append(name)
    assert missing == []


COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_page_of_the_command_line_names_every_command(command: str) -> None:
    page = (REFERENCE / "cli.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith(f"| `hanse {command}`")]
    below = getattr(COMMANDS[command], "commands", {})
    assert [name for name in below if not re.search(rf"[`\s]{name}[`,\s]", row)] == []
