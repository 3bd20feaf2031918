"""How headquarters makes, reviews, publishes and follows a policy, each command as it is typed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from hanse.cli.roles import services_of
from hanse.cli.schemas import PACKAGES
from hanse.clock import utc_now
from hanse.log.append import append
from hanse.log.events import Origin, new_event
from hanse.migrations import service_migrations
from hanse.names import HEADQUARTERS, stream_name
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse_federation.link.status import save_connected
from hanse_federation.model import SCHEMA as FEDERATION
from hanse_federation.model import End, PolicyAcknowledgement
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.events_pb2 import TicketOpened
from hanse_services.policy.model import SCHEMA as POLICY
from tests.integration.command_line import CommandLine
from tests.support import POLICY_YAML, MakeRuntime, Serve

MUNICH = "units/munich"
FIRST = POLICY_YAML.replace("reviews_required: 0\n", "")
FILES = {
    "first": FIRST,
    "next": FIRST.replace("response: 1h, resolution: 8h", "response: 1h, resolution: 2000h"),
    "odd": FIRST + 'ladder: [{at_percent: 50, action: CLIMB, when: ticket.priority == "P5"}]\n',
    "wrong": FIRST.replace("resolution: 8h", "resolution: 0s").replace("calendar: always, languages: [de", "calendar: "
    "nights, languages: [de"),
    "no-policy": "title: [",
}  # fmt: skip


@dataclass
class Standards:
    """Headquarters, whose people keep the group's standards, with the files that they write."""

    runtime: Runtime
    commands: CommandLine
    folder: Path

    async def say(self, *commands: str, **words: str) -> list[tuple[int, str, str]]:
        """Give commands in one process; `F/` is the folder of the files. Return statuses and what was printed."""
        said = (
            [words.get(word, word.replace("F/", f"{self.folder}/")) for word in command.split()] for command in commands
        )
        return [(each.status, each.printed, each.complained) for each in await self.commands.run_all(*said)]

    async def enact(self, version: int) -> None:
        """Put a version in force at headquarters, as its reactions do."""
        policy = Policy(name=f"policies/{version}", version=version, document=load_yaml(FIRST))
        for schema in (POLICY, FEDERATION):
            await self.runtime.database.write(PolicyStore(schema).enact, policy)


@pytest.fixture
async def standards(make_runtime: MakeRuntime, serve: Serve, tmp_path: Path) -> Standards:
    runtime = make_runtime(HEADQUARTERS, *(service_migrations(package) for package in PACKAGES))
    await serve(runtime, services_of(runtime))
    for name, text in FILES.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return Standards(runtime, CommandLine(runtime, tmp_path), tmp_path)


async def test_a_policy_is_linted_published_reviewed_and_followed(standards: Standards) -> None:
    lint, hardly_meant, wrong, none, too_early, refused, published, unreviewed, absent, draft, _ = await standards.say(
        "policy lint F/first.yaml",
        "policy lint F/odd.yaml",
        "policy lint F/wrong.yaml",
        "policy lint F/no-policy.yaml",
        "policy show",
        "policy publish F/wrong.yaml",
        "policy publish F/first.yaml --as ada",
        "policy publish F/next.yaml --as ada",
        "policy publish F/absent.yaml",
        "policy draft create F/next.yaml --as ada --json",
        "policy draft create F/first.yaml --as ben",
    )
    assert lint == (0, f"{standards.folder}/first.yaml holds together\n", "")
    assert (hardly_meant[0], "holds together" in hardly_meant[1]) == (0, True)
    assert "warning ladder[0].when: no ticket ever meets this" in hardly_meant[2]
    assert (wrong[:2], wrong[2].count("error")) == ((1, ""), 3)
    assert "error targets[0].resolution: must be greater than 0s" in wrong[2]
    assert "error units[1].calendar: there is no calendar 'nights': add it, or name another" in wrong[2]
    assert (none[0], "POLICY_INVALID" in none[2]) == (1, True)
    assert (too_early[0], "POLICY_MISSING" in too_early[2]) == (1, True)
    assert (refused[0], "POLICY_INVALID" in refused[2], "targets[0].resolution" in refused[2]) == (1, True, True)
    assert published == (0, "policies/1 is published; `hanse status` shows who has acknowledged it\n", "")
    assert (unreviewed[0], "POLICY_REVIEW_REQUIRED" in unreviewed[2]) == (1, True)
    assert "try Write it as a draft (hanse policy draft create FILE, then draft submit)" in unreviewed[2]
    assert (absent[0], "does not exist" in absent[2]) == (2, True)
    await standards.enact(1)
    await standards.runtime.database.write(munich_acknowledges)
    await goes_on(standards, json.loads(draft[1])["name"].rpartition("/")[2])


async def goes_on(standards: Standards, name: str) -> None:
    """Review the draft and publish it, and look who has it."""
    early, _, own, _, published, drafts, shown, current, status, program = await standards.say(
        "policy draft publish D --as ada",
        "policy draft submit D --as ada",
        "policy draft approve D --as ada",
        "policy draft approve D --as ben --note fine",
        "policy draft publish D --as ada --from 2999-01-01",
        "policy draft list",
        "policy draft show D",
        "policy show",
        "policy status",
        "policy status --json",
        D=name,
    )
    assert (early[0], "ILLEGAL_TRANSITION" in early[2]) == (1, True)
    assert (own[0], "REVIEWER_IS_AUTHOR" in own[2]) == (1, True)
    assert (published[0], f"policyDrafts/{name} is published: PUBLISHED\nit is policies/2" in published[1]) == (0, True)
    assert re.search(rf"{name} +PUBLISHED +1 +ada \(hq\) +ben \(hq\) .* policies/2", drafts[1])
    assert re.search(r"DRAFT +1 +ben \(hq\)", drafts[1])
    assert (shown[0], "# reviewed by units/hq/agents/ben: fine" in shown[1]) == (0, True)
    assert load_yaml(shown[1]) == load_yaml(FILES["next"])
    assert current[1].startswith("# policies/1, published ")
    assert load_yaml(current[1]) == load_yaml(FIRST)
    assert re.search(
        r"Version 2 is published, in force from 2999-01-01.*\nmunich +1 +not yet +yes", status[1], re.DOTALL
    )
    assert json.loads(program[1]) == {"published": 2, "acknowledged": {MUNICH: 1}, "overrides": {}}


def munich_acknowledges(session: Session) -> None:
    """Let Munich have a link to headquarters, and the first version."""
    save_connected(session, End.HUB, MUNICH, utc_now())
    session.add(PolicyAcknowledgement(unit=MUNICH, version=1, acknowledge_time=utc_now()))


async def test_what_a_document_would_have_made_of_the_group_s_tickets_is_counted_and_listed(
    standards: Standards,
) -> None:
    await standards.enact(1)
    await standards.runtime.database.write(open_two_tickets)
    listed, program, nothing, refused = await standards.say(
        "policy what-if F/next.yaml",
        "policy what-if F/next.yaml --home munich --json",
        "policy what-if F/next.yaml --since 2999-01-01",
        "policy what-if F/wrong.yaml",
    )
    assert (listed[0], "records" in listed[2]) == (0, True)
    assert re.search(r"munich +2 +2 +2 +0 +0 +2 → 0", listed[1])
    assert len(re.findall(rf"{MUNICH}/tickets/t\d +.*solution late.*solution in time", listed[1])) == 2
    [unit] = [unit for unit in json.loads(program[1])["units"] if unit.get("tickets")]
    assert (unit["unit"], int(unit["different"]), len(json.loads(program[1])["tickets"])) == (MUNICH, 2, 2)
    assert (nothing[0], "munich" in nothing[1]) == (0, False)
    assert (refused[0], "POLICY_INVALID" in refused[2]) == (1, True)


def open_two_tickets(session: Session) -> None:
    """Let headquarters have two tickets of Munich's that nobody has worked on since."""
    entries, opened_at = [], utc_now() - timedelta(days=2)
    for number in range(2):
        name = f"{MUNICH}/tickets/t{number}"
        summary = pb.TicketSummary(
            name=name, state=pb.NEW, priority=pb.P2, category="display", tier=1, holder=MUNICH,
        )  # fmt: skip
        opened = TicketOpened(ticket=summary)
        entries.append(new_event(Origin(MUNICH, f"{MUNICH}/agents/li"), name, opened, opened_at, None))
    append(session, FEDERATION.log, stream_name(MUNICH, "ticket"), entries)
