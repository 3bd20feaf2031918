"""What a desk's people read about the policy and their tickets, each command as it is typed."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hanse.cli.roles import services_of
from hanse.cli.schemas import PACKAGES
from hanse.identity import Role
from hanse.migrations import service_migrations
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse_protos.policy.v1.policy_pb2 import LadderStep, Policy
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import service_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.policy.model import SCHEMA as POLICY
from hanse_services.ticket.model import SCHEMA as TICKET
from tests.integration.command_line import CommandLine, Result
from tests.support import MakeRuntime, Serve

SHANGHAI = "units/shanghai"
PATIENCE_SECONDS = 60.0
GROUP = Path(__file__).parents[4] / "policies" / "group.yaml"


@dataclass
class Desk:
    """A desk under the group's policy, with one ticket."""

    runtime: Runtime
    commands: CommandLine
    ticket: str

    async def say(self, *commands: str) -> list[Result]:
        """Give commands, with T for the ticket, in one process."""
        words = ([self.ticket if word == "T" else word for word in command.split()] for command in commands)
        return await self.commands.run_all(*words)


@pytest.fixture
async def desk(make_runtime: MakeRuntime, serve: Serve, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk under the group's policy, with one ticket."""
    runtime = make_runtime(SHANGHAI, *(service_migrations(package) for package in PACKAGES))
    policy = Policy(name="policies/1", version=1, document=load_yaml(GROUP.read_text()))
    policy.document.ladder.add(at_percent=95, action=LadderStep.CLIMB, when="int(ticket.product) > 3")
    for schema in (POLICY, TICKET):
        await runtime.database.write(PolicyStore(schema).enact, policy)
    caller = await serve(runtime, services_of(runtime))
    noun = pb.Ticket(title="Screen stays dark", category="display", priority=pb.P3, language="zh")
    request = rpc.CreateTicketRequest(
        parent=SHANGHAI, ticket=noun, request_id="0b5f1f0a-5f0e-4c0e-9c63-3a1c2f8d7e11",
        contact=pb.Contact(display_name="Wang"),
    )  # fmt: skip
    opened = await stubs.TicketServiceStub(caller.channel(Role.AGENT)).CreateTicket(request)
    yield Desk(runtime, CommandLine(runtime, tmp_path), opened.name.rsplit("/", 1)[-1])


async def test_a_desk_tunes_what_it_may_and_reads_what_is_in_force(desk: Desk, tmp_path: Path) -> None:
    for name, text in (
        ("good", "soft: {cap: 60d}"),
        ("bad", "targets: [{target: p3, resolution: 40h}]"),
        ("none", "{}"),
    ):
        (tmp_path / f"{name}.yaml").write_text(text)
    before, tuned, refused, after, taken_back, services = await desk.say(
        "policy tuning",
        f"policy tune {tmp_path}/good.yaml --as chen",
        f"policy tune {tmp_path}/bad.yaml",
        "policy tuning",
        f"policy tune {tmp_path}/none.yaml",
        "policy services",
    )
    assert (before.printed.strip(), before.status) == ("shanghai has changed nothing for itself", 0)
    assert f"{SHANGHAI}/policyOverrides/1 is in force for tickets that are opened from now on" in tuned.printed
    assert refused.status == 1
    assert "targets[0].resolution: 40h is outside of the group's bounds, 8h to 32h" in refused.complained
    assert re.search(r"policyOverrides/1, by chen \(shanghai\).*cap: 1440h", after.printed, re.DOTALL)
    assert "takes everything back" in taken_back.printed
    assert re.search(r"express-parts +Spare parts by express .* 45.00 EUR", services.printed)


async def test_what_governs_a_ticket_is_explained_rule_by_rule(desk: Desk) -> None:
    shown, program, too_early, ticket, clocks = await desk.say(
        "policy explain T",
        "policy explain T --json",
        "policy explain T --at 2020-01-01",
        "ticket show T",
        "ticket explain T",
    )
    assert "service displays, which munich answers for" in " ".join(ticket.printed.split())
    for words in (
        r"targets\[p3\] +answer in 4h, solution in 24h .* applies",
        r"agreements\[acme-panels\] +UC of acme-panels in 72h elapsed +always +applies",
        r"soft +suspended with a review every 14d, 90d in all .* applies",
        r"hierarchy\[3\] +tell HEADQUARTERS at 200 % of the resolution +always +applies",
        r"complaints\[every\] +UNIT_MANAGER \(shanghai-office\), then HEADQUARTERS .* in 8h.* always +applies",
        r"Response: 4:00:00 by p3",
        r"desks\[accounts\] .* does not hold +–",
        r"hq +yes +110",
        r"asked first for a new engagement: hq\n",
        r"ladder\[\d\] +CLIMB at 95 % .* no answer, so it does not hold: cannot convert string to int",
    ):
        assert re.search(words, shown.printed), words
    answer = json.loads(program.printed)
    assert (answer["policy"], answer["facts"]["service"], answer["current"]["state"]) == (
        "policies/1",
        "displays",
        "NEW",
    )
    assert [rule["path"] for rule in answer["complaints"]] == ["complaints[key-customer]", "complaints[every]"]
    assert {rule["outcome"] for rule in answer["agreements"]} == {"applies", "does not hold"}
    assert (answer["routing"]["asked"], answer["routing"]["version"]) == (["units/hq"], 1)
    assert (too_early.status, "the ticket was opened at" in too_early.complained) == (1, True)
    no_answer = r"ladder\[\d\].when of .*1 has no answer for this ticket, so it does not hold: cannot convert string"
    assert re.search(no_answer, clocks.printed)


async def test_a_ticket_whose_home_the_policy_in_force_has_dropped_is_explained_all_the_same(desk: Desk) -> None:
    policy = Policy(name="policies/2", version=2, document=load_yaml(GROUP.read_text()))
    policy.document.units.remove(next(profile for profile in policy.document.units if profile.unit == SHANGHAI))
    for schema in (POLICY, TICKET):
        await desk.runtime.database.write(PolicyStore(schema).enact, policy)
    shown, filed = await desk.say("policy explain T", "complaint open T slow")
    assert re.search(r"targets\[p3\] +answer in 4h, solution in 24h .* applies", shown.printed)
    assert "No complaint can be filed: the policy in force does not list the ticket's home" in shown.printed
    assert "it lists no other unit, or not the ticket's category or home" in " ".join(shown.printed.split())
    assert "UNIT_UNKNOWN" in filed.complained


async def test_clocks_are_suspended_corrected_and_repaired_from_the_command_line(desk: Desk) -> None:
    too_late, suspended, queued, resumed, corrected, repaired, unknown, reclassified, kept = await desk.say(
        "ticket suspend T research --review 2999-01-01",
        f"ticket suspend T research --review {datetime.now(UTC) + timedelta(days=7):%Y-%m-%dT%H:%M}",
        "queue --tier 1",
        "ticket resume T",
        f"ticket correct T --answered {datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S} --reason phoned",
        "ticket repair T",
        "ticket repair T --policy 9",
        "ticket reclassify T --priority P1 --reason urgent",
        "attainment --by service",
    )
    assert "Choose a time between the two" in too_late.complained
    assert re.search(r"WAITING.*resolution +suspended", suspended.printed, re.DOTALL)
    assert re.search(r"Standing.*suspended +response", queued.printed, re.DOTALL)
    assert "IN_PROGRESS" in resumed.printed
    assert re.search(r"response +running.* +met", corrected.printed)
    assert "1 ticket computed, 0 changed, 0 failed" in repaired.printed
    assert "This unit has never had policies/9 in force" in unknown.complained
    assert re.search(r"P1, display.*resolution +running +[0-9:]+ of 4:00:00", reclassified.printed, re.DOTALL)
    assert re.search(r"displays \(munich\) +2 +0 +100.0 %", kept.printed)


async def test_a_watched_queue_ends_quietly_with_ctrl_c(desk: Desk) -> None:
    refused, empty = await desk.say("queue --kind reply", "queue --team displays")
    assert (refused.status, "--kind" in refused.complained) == (2, True)
    assert "Nothing runs" in empty.printed
    watching = await desk.commands.start("queue", "--watch", "--tier", "1")
    assert watching.stdout
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "Screen stays dark" not in (await watching.stdout.readline()).decode():
            pass
        watching.send_signal(signal.SIGINT)
        _, complained = await watching.communicate()
    assert (watching.returncode, complained.decode()) == (0, "")
