"""What leaves a unit: 500 canaries are planted in Shanghai, and searched for wherever anything is kept.

A group runs on real servers, with its spans collected. Tickets go through their life at the desk and at the gateway,
two of them with an engagement, an article and a charge, two with a complaint, of which one comes to headquarters when
its time runs out; a message is forged so that it becomes a dead letter. What
nobody was granted may be in Shanghai's database and in no other place; what was granted has to be where it was granted,
or the search would prove nothing. Then three persons are erased, while a unit that worked for them is offline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
import redis
from google.protobuf.field_mask_pb2 import FieldMask

from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk, PartnerSystem
from hanse.cli.patience import eventually
from hanse.cli.schemas import migrate_all
from hanse.cli.stage import HQ, MUNICH, SHANGHAI, StoryFailed, request_id
from hanse.config import Settings
from hanse.local.group import Group
from hanse.names import ticket_in
from hanse.policy import load_yaml
from hanse.telling.publishing import Publisher, Telling
from hanse_protos.federation.v1 import complaints_pb2, group_pb2
from hanse_protos.gateway.v1 import gateway_pb2
from hanse_protos.knowledge.v1 import knowledge_pb2
from hanse_protos.log.v1 import log_pb2
from hanse_protos.policy.v1 import policy_pb2
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import complaint_pb2 as complaints
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.subscriptions import SUBSCRIPTIONS
from tests.e2e.canaries import Canaries, Collector, collecting, found_in, in_broker, in_database, in_files, in_temporal
from tests.http_collector import collecting_http
from tests.support import POLICY_YAML, record_of

UNITS = (HQ, SHANGHAI, MUNICH)
PATIENCE_SECONDS = 90.0
"""Nothing here takes a second on an idle machine."""
TICKETS = 39
AT_A_TIME = 6
UNGRANTED, PERSONAL, GRANTED, SHARED = "free text", "personal data", "granted to the counterpart", "granted to all"
FORGED = "in a message that is poison"
OFFLINE = "written by a unit that is offline"
COMPLAINED = "granted to headquarters with a complaint"

POLICY = (
    POLICY_YAML.replace("0 - load", """'provider.unit == "units/munich" ? 1 : 0'""")
    + """
sharing:
  - {events: [EngagementRequested, TicketCommented, EngagementWorkNoted], fields: ["*"], audience: COUNTERPART}
  - {events: [EngagementDelivered], fields: ["*"], audience: COUNTERPART}
  - {events: [ArticlePublished], fields: ["*"], audience: GROUP}
  - {events: [ComplaintEscalated], fields: ["*"], audience: HEADQUARTERS}
  - {events: [ComplaintDecided], fields: ["*"], audience: COUNTERPART}
complaints:
  - {id: at-once, when: ticket.priority == "P1", acknowledge_within: 1s, answer_within: 1h}
  - {id: every, acknowledge_within: 8h, answer_within: 40h}
"""
)


@dataclass
class Scene:
    """The group, the people at its desks, and what was planted."""

    group: Group
    collector: Collector
    reactions_exports: dict[str, bytes]
    desks: dict[str, Desk]
    canaries: Canaries = field(default_factory=Canaries)
    partner: Any = None
    refusals: list[bytes] = field(default_factory=list)
    complaint: str = ""
    """The one that came to headquarters."""

    def settings(self, unit: str) -> Settings:
        """Return the settings of a unit."""
        return settings_of(self.group.folder.path, unit)

    @property
    def shanghai(self) -> Desk:
        return self.desks[SHANGHAI]

    @property
    def munich(self) -> Desk:
        return self.desks[MUNICH]

    async def until(self, condition: Any, what: str) -> None:
        """Wait until a condition holds."""
        await eventually(condition, what, PATIENCE_SECONDS, StoryFailed)

    def contact(self) -> pb.Contact:
        """Return a person of whom every word is a canary."""
        plant = self.canaries.plant
        return pb.Contact(
            reference=plant(PERSONAL),
            display_name=plant(PERSONAL),
            email=f"{plant(PERSONAL)}@example.cn",
            phone=plant(PERSONAL),
        )

    async def open(self, kind: str = UNGRANTED, priority: pb.Priority.ValueType = pb.P3) -> pb.Ticket:
        """Open a ticket at the desk."""
        ticket = pb.Ticket(
            title=self.canaries.plant(kind),
            description=self.canaries.plant(kind),
            category="display",
            priority=priority,
        )
        request = rpc.CreateTicketRequest(
            parent=SHANGHAI, ticket=ticket, contact=self.contact(), request_id=request_id()
        )
        answer: pb.Ticket = await self.shanghai.tickets.CreateTicket(request)
        return answer

    async def do(self, verb: str, name: str, **values: Any) -> Any:
        """Take a step of a ticket at Shanghai's desk."""
        return await getattr(self.shanghai.tickets, verb)(
            getattr(rpc, f"{verb}Request")(name=name, request_id=request_id(), **values)
        )

    async def engage(self, desk: Desk, verb: str, name: str, **values: Any) -> Any:
        """Take a step of an engagement at a desk."""
        return await getattr(desk.engagements, verb)(
            getattr(rpc, f"{verb}Request")(name=name, request_id=request_id(), **values)
        )


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A group in which everything has happened."""
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        collector, address = await stack.enter_async_context(collecting())
        patch.setenv("HANSE_OTLP_ENDPOINT", address)
        reactions_exports, http_address = stack.enter_context(collecting_http())
        patch.setenv("HANSE_OTLP_HTTP_ENDPOINT", http_address)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "300")
        folder = tmp_path_factory.mktemp("group")
        group = await stack.enter_async_context(Group(folder, [SHANGHAI, MUNICH], migrate_all, lambda _text: None))
        desks = {unit: await _sign_in(stack, folder, unit) for unit in UNITS}
        scene = Scene(group, collector, reactions_exports, desks)
        await _publish_policy(scene)
        await _admit_partner(scene, stack)
        # What headquarters' desk is told stays in its queues, where it is looked for too.
        await group.processes["the reactions of hq"].stop(grace_seconds=10)
        await _live(scene)
        await _work_together(scene)
        await _complain(scene)
        await _forge(scene)
        await _refuse(scene)
        await _settle(scene)
        yield scene


async def _sign_in(stack: AsyncExitStack, folder: Path, unit: str) -> Desk:
    return await stack.enter_async_context(Desk(settings_of(folder, unit), "li"))


async def _publish_policy(scene: Scene) -> None:
    request = policy_pb2.PublishPolicyRequest(document=load_yaml(POLICY), request_id=request_id())
    policy = await scene.desks[HQ].policies.PublishPolicy(request)

    async def everywhere() -> bool:
        answer = await scene.desks[HQ].group.ListUnits(group_pb2.ListUnitsRequest())
        acknowledged = {status.unit for status in answer.units if status.policy_version == policy.version}
        return acknowledged >= set(UNITS) and all(_is_in_force(scene.settings(unit)) for unit in UNITS)

    await scene.until(everywhere, "the policy is in force in every service of every unit")


def _is_in_force(settings: Settings) -> bool:
    with psycopg.connect(settings.database_url) as connection:
        return all(
            connection.execute(f"SELECT FROM {schema}.policy WHERE version > 0").rowcount
            for schema in ("ticket", "knowledge", "settlement", "federation")
        )


async def _admit_partner(scene: Scene, stack: AsyncExitStack) -> None:
    request = gateway_pb2.CreatePartnerRequest(
        partner_id="retail", partner=gateway_pb2.Partner(title="Retail"), request_id=request_id()
    )
    key = (await scene.shanghai.partners.CreatePartner(request)).api_key
    scene.partner = (await stack.enter_async_context(PartnerSystem(scene.settings(SHANGHAI), key))).service


# What happens.


async def _live(scene: Scene) -> None:
    """Let tickets go through their life, some of them opened at the gateway."""
    limit = asyncio.Semaphore(AT_A_TIME)

    async def one(number: int) -> None:
        async with limit:
            await _one_life(scene, await (scene.open() if number % 2 else _open_at_gateway(scene)))

    async with asyncio.TaskGroup() as lives:
        for number in range(TICKETS):
            lives.create_task(one(number))


async def _open_at_gateway(scene: Scene) -> Any:
    plant = scene.canaries.plant
    request = gateway_pb2.PartnerCreateTicketRequest(
        title=plant(UNGRANTED), description=plant(UNGRANTED), category="display", priority=pb.P3,
        contact=scene.contact(), request_id=request_id(),
    )  # fmt: skip
    ticket = await scene.partner.CreateTicket(request)
    comment = gateway_pb2.PartnerCommentTicketRequest(name=ticket.name, text=plant(UNGRANTED), request_id=request_id())
    await scene.partner.CommentTicket(comment)
    return ticket


async def _one_life(scene: Scene, ticket: Any) -> None:
    plant, name = scene.canaries.plant, ticket.name
    await scene.do("CommentTicket", name, text=plant(UNGRANTED))
    await scene.do("CommentTicket", name, text=plant(UNGRANTED), public=True)
    await scene.do("EscalateTicket", name, reason=plant(UNGRANTED))
    await scene.do("PauseTicket", name, waiting_for="vendor", reason=plant(UNGRANTED))
    await scene.do("ResumeTicket", name)
    await _close(scene, name)


async def _close(scene: Scene, name: str) -> None:
    plant = scene.canaries.plant
    await scene.do("ResolveTicket", name, solution=plant(UNGRANTED))
    await scene.do("ReopenTicket", name, reason=plant(UNGRANTED))
    await scene.do("ResolveTicket", name, solution=plant(UNGRANTED))
    await scene.do("CloseTicket", name)


async def _engaged(scene: Scene, kind: str) -> tuple[pb.Ticket, str]:
    """Open a ticket that Munich then works on; title, description, reason and notes are planted as `kind`."""
    plant, ticket = scene.canaries.plant, await scene.open(kind)
    await scene.do("CommentTicket", ticket.name, text=plant(UNGRANTED))
    asked = rpc.RequestEngagementRequest(parent=ticket.name, reason=plant(kind), request_id=request_id())
    engagement = (await scene.shanghai.engagements.RequestEngagement(asked)).name
    await _until_state(scene, scene.munich, engagement, pb.OFFERED)
    await scene.engage(scene.munich, "AcceptEngagement", engagement)
    await _until_state(scene, scene.shanghai, engagement, pb.ACCEPTED)
    return ticket, engagement


async def _until_state(scene: Scene, desk: Desk, name: str, state: Any) -> None:
    async def reached() -> bool:
        try:
            answer = await desk.engagements.GetEngagement(rpc.GetEngagementRequest(name=name))
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.state == state)

    await scene.until(reached, f"{name} is {pb.EngagementState.Name(state)} in {desk.unit}")


async def _work_together(scene: Scene) -> None:
    """Let Munich solve a ticket of Shanghai's; the solution becomes an article and a charge."""
    plant = scene.canaries.plant
    ticket, engagement = await _engaged(scene, GRANTED)
    await scene.do("CommentTicket", ticket.name, text=plant(GRANTED))
    await scene.engage(scene.munich, "NoteEngagementWork", engagement, text=plant(GRANTED))
    await scene.engage(scene.munich, "DeliverEngagement", engagement, solution=plant(GRANTED))
    await _until_state(scene, scene.shanghai, engagement, pb.DELIVERED)
    await scene.engage(scene.shanghai, "ConfirmEngagement", engagement)
    await _close(scene, ticket.name)
    await _publish_article(scene, engagement)


async def _publish_article(scene: Scene, engagement: str) -> None:
    plant = scene.canaries.plant
    drafts: list[knowledge_pb2.Article] = []

    async def drafted() -> bool:
        answer = await scene.munich.knowledge.ListArticles(knowledge_pb2.ListArticlesRequest(parent=MUNICH))
        drafts[:] = [article for article in answer.articles if article.source == engagement]
        return bool(drafts)

    await scene.until(drafted, "the delivery became a draft")
    name = drafts[0].name
    article = knowledge_pb2.Article(name=name, title=plant(SHARED), body=plant(SHARED))
    update = knowledge_pb2.UpdateArticleRequest(
        article=article, update_mask=FieldMask(paths=["title", "body"]), request_id=request_id()
    )
    await scene.munich.knowledge.UpdateArticle(update)
    await scene.munich.knowledge.SubmitArticle(knowledge_pb2.SubmitArticleRequest(name=name, request_id=request_id()))
    async with Desk(scene.settings(MUNICH), "keller") as reviewer:
        await reviewer.knowledge.PublishArticle(
            knowledge_pb2.PublishArticleRequest(name=name, scope=knowledge_pb2.GROUP, request_id=request_id())
        )


async def _complain(scene: Scene) -> None:
    """Have one complaint answered in the unit; let another's time run out, and headquarters answer it."""
    plant = scene.canaries.plant
    kept, taken_further = await scene.open(), await scene.open(priority=pb.P1)
    for ticket in (kept, taken_further):
        await _close(scene, ticket.name)
    answered = await _complaint_about(scene, kept.name, UNGRANTED)
    # Whoever solved the ticket does not handle the complaint.
    async with Desk(scene.settings(SHANGHAI), "wang") as manager:
        await _step(manager, "AcknowledgeComplaint", answered)
        await _step(manager, "NoteComplaint", answered, text=plant(UNGRANTED))
        await _step(manager, "AnswerComplaint", answered, text=plant(UNGRANTED), outcome=complaints.NOT_UPHELD)
        scene.complaint = await _complaint_about(scene, taken_further.name, COMPLAINED)
        await _answer_at_headquarters(scene, scene.complaint)
    # Nor does who answered it end it.
    async with Desk(scene.settings(SHANGHAI), "zhao") as other:
        for name in (answered, scene.complaint):
            await _step(other, "CloseComplaint", name)


async def _complaint_about(scene: Scene, ticket: str, kind: str) -> str:
    text = scene.canaries.plant(kind)
    request = complaints.CreateComplaintRequest(parent=ticket, text=text, request_id=request_id())
    filed: complaints.Complaint = await scene.shanghai.complaints.CreateComplaint(request)
    return filed.name


async def _step(desk: Desk, verb: str, name: str, **values: Any) -> None:
    request = getattr(complaints, f"{verb}Request")(name=name, request_id=request_id(), **values)
    await getattr(desk.complaints, verb)(request)


async def _answer_at_headquarters(scene: Scene, name: str) -> None:
    """Answer a complaint at headquarters, where it comes by itself, and wait until its home has heard."""
    desk = scene.desks[HQ].group_complaints

    async def has_come() -> bool:
        listed = await desk.ListGroupComplaints(
            complaints_pb2.ListGroupComplaintsRequest(parent=SHANGHAI, level=HierarchyStep.HEADQUARTERS)
        )
        return [each.complaint.name for each in listed.complaints] == [name]

    await scene.until(has_come, "the complaint has come to headquarters")
    await desk.AcknowledgeGroupComplaint(
        complaints_pb2.AcknowledgeGroupComplaintRequest(name=name, request_id=request_id())
    )
    text = scene.canaries.plant(COMPLAINED)
    await desk.AnswerGroupComplaint(
        complaints_pb2.AnswerGroupComplaintRequest(
            name=name, text=text, outcome=complaints.UPHELD, request_id=request_id()
        )
    )

    async def is_answered() -> bool:
        known = await scene.shanghai.complaints.GetComplaint(complaints.GetComplaintRequest(name=name))
        return bool(known.answer == text)

    await scene.until(is_answered, "the unit has headquarters' answer")


async def _forge(scene: Scene) -> None:
    """Tell Shanghai's desk a text that its event never sealed, and something that is no event at all."""
    text, settings = scene.canaries.plant(FORGED), scene.settings(SHANGHAI)
    record = record_of(told.EngagementWorkNoted(), f"{SHANGHAI}/tickets/t1/engagements/e1", unit=MUNICH)
    record.sealed.add(field="text", salt=bytes(16), value=text)
    bodies = [record.SerializeToString(), b"\xff" + scene.canaries.plant(FORGED).encode()]
    publisher = Publisher(settings.broker_url, ["federation"], SUBSCRIPTIONS)
    messages = [Telling("federation", "engagement.work_noted", body) for body in bodies]
    await asyncio.to_thread(publisher.publish, messages)
    publisher.close()

    async def buried() -> bool:
        with psycopg.connect(settings.database_url) as connection:
            return connection.execute("SELECT FROM ticket.dead_letter").rowcount == len(bodies)

    await scene.until(buried, "both messages are dead letters")


async def _refuse(scene: Scene) -> None:
    """Send requests that are refused, and keep what was answered."""
    text = scene.canaries.plant(UNGRANTED)
    requests = [
        scene.do("AssignTicket", f"{SHANGHAI}/tickets/t1", assignee=text),
        scene.do("CommentTicket", f"{SHANGHAI}/tickets/t1", text=text),
        scene.do("PauseTicket", f"{SHANGHAI}/tickets/t1", waiting_for="vendor", reason=f"{text}\0"),
        scene.do("ResolveTicket", f"{SHANGHAI}/tickets/t1", solution=text * 2_000),
    ]
    for request in requests:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await request
        error = refused.value
        trailers = [value if isinstance(value, bytes) else value.encode() for _, value in error.trailing_metadata()]
        scene.refusals.append(b"\n".join([str(error.details()).encode(), *trailers]))


async def _settle(scene: Scene) -> None:
    """Wait until everything has arrived and every span was exported: a call that nobody made before is the last."""
    await _until_quiet(scene)
    for desk in scene.desks.values():
        await desk.tickets.ListTickets(rpc.ListTicketsRequest(parent=desk.unit, page_size=1))

    async def exported() -> bool:
        return scene.collector.content.count(b"TicketService/ListTickets") >= len(scene.desks)

    await scene.until(exported, "the spans are exported")


async def _until_quiet(scene: Scene) -> None:
    async def quiet() -> bool:
        return _has_arrived(scene) and not _pending(scene)

    await scene.until(quiet, "what was told has arrived")


def _has_arrived(scene: Scene) -> bool:
    """Whether both ends of each link have the same heads, in both directions."""
    at_headquarters = _heads(scene.settings(HQ), "federation")
    for unit in (SHANGHAI, MUNICH):
        settings = scene.settings(unit)
        ends = [_heads(settings, schema) for schema in ("ticket", "knowledge", "settlement", "policy", "federation")]
        for stream, head in (pair for heads in ends for pair in heads.items()):
            if at_headquarters.get(stream) != head:
                return False
        down = f"{HQ}/streams/to-{unit.removeprefix('units/')}"
        if at_headquarters.get(down) != ends[-1].get(down):
            return False
    return True


def _heads(settings: Settings, schema: str) -> dict[str, bytes]:
    with psycopg.connect(settings.database_url) as connection:
        return dict(connection.execute(f"SELECT stream, hash FROM {schema}.log_head").fetchall())  # noqa: S608


def _pending(scene: Scene) -> bool:
    """Whether a relay of the subsidiaries has something to tell, or a reaction of theirs something to do."""
    lagging = """
        SELECT FROM {0}.log_head AS head JOIN {0}.log_cursor AS cursor USING (stream)
        WHERE follower = 'relay' AND (cursor.epoch, cursor.sequence) < (head.epoch, head.sequence)
    """
    for unit in (SHANGHAI, MUNICH):
        settings = scene.settings(unit)
        with psycopg.connect(settings.database_url) as connection:
            for schema in ("ticket", "knowledge", "settlement", "policy", "federation"):
                if connection.execute(lagging.format(schema)).rowcount:
                    return True
        with redis.Redis.from_url(settings.broker_url) as client:
            if any(client.type(key) == b"list" and client.llen(key) for key in client.scan_iter()):
                return True
    return False


# Where what was planted is.


def stays(scene: Scene) -> set[str]:
    """Return the canaries that may be in Shanghai's database only."""
    return scene.canaries.of(UNGRANTED, PERSONAL, FORGED)


def test_five_hundred_are_planted(scene: Scene) -> None:
    assert len(stays(scene)) >= 500


def test_the_search_finds_every_one_of_them_where_it_was_planted(scene: Scene) -> None:
    refused = stays(scene) - in_database(scene.settings(SHANGHAI))
    # The words of a refused request were never stored.
    assert len(refused) == 1


@pytest.mark.parametrize("unit", [HQ, MUNICH])
def test_no_other_units_database_has_any(scene: Scene, unit: str) -> None:
    assert in_database(scene.settings(unit)) & stays(scene) == set()


def test_what_was_granted_is_where_it_was_granted(scene: Scene) -> None:
    granted, shared = scene.canaries.of(GRANTED), scene.canaries.of(SHARED)
    assert in_database(scene.settings(MUNICH)) >= granted | shared
    assert in_database(scene.settings(HQ)) >= shared


def test_a_complaint_is_read_at_headquarters_and_at_no_other_unit(scene: Scene) -> None:
    told_headquarters = scene.canaries.of(COMPLAINED)
    assert len(told_headquarters) == 2
    for unit in (HQ, SHANGHAI):
        assert in_database(scene.settings(unit)) >= told_headquarters
    assert in_database(scene.settings(MUNICH)) & told_headquarters == set()


async def test_headquarters_keeps_nothing_of_what_it_passed_on(scene: Scene) -> None:
    async def forgotten() -> bool:
        return in_database(scene.settings(HQ)) & scene.canaries.of(GRANTED) == set()

    # A unit's acknowledgement counts with the next heartbeat.
    await scene.until(forgotten, "headquarters has forgotten what has arrived")


@pytest.mark.parametrize("unit", UNITS)
async def test_no_workflows_history_has_any_text(scene: Scene, unit: str) -> None:
    workflows, found = await in_temporal(scene.settings(unit))
    assert found == set()
    assert workflows or unit == MUNICH


@pytest.mark.parametrize("unit", [HQ, MUNICH])
def test_no_other_units_broker_has_any(scene: Scene, unit: str) -> None:
    assert in_broker(scene.settings(unit)) & stays(scene) == set()


def test_the_search_finds_what_waits_in_a_queue(scene: Scene) -> None:
    assert in_broker(scene.settings(HQ)) >= scene.canaries.of(SHARED)


def test_no_process_logs_any_text(scene: Scene) -> None:
    size, found = in_files(scene.group.folder.path, "*.log", "*.json", "*.toml", "*.crt")
    assert found == set()
    assert size


def test_no_span_has_any_text(scene: Scene) -> None:
    assert b"TicketService/ResolveTicket" in scene.collector.content
    assert found_in(scene.collector.content) == set()
    of_reactions = b"".join(scene.reactions_exports.values())
    assert b"receive knowledge.delivery" in of_reactions
    assert found_in(of_reactions) == set()


def test_no_refusal_repeats_what_was_sent(scene: Scene) -> None:
    assert len(scene.refusals) == 4
    assert found_in(b"\n".join(scene.refusals)) == set()


# Erasing.


@pytest.fixture(scope="module")
async def erased(scene: Scene) -> set[str]:
    """What was said about three persons, who are erased while Munich, which worked for two of them, is offline."""
    first = (await scene.munich.engagements.ListEngagements(
        rpc.ListEngagementsRequest(parent="units/-/tickets/-")
    )).engagements[0].ticket.name  # fmt: skip
    before = set(scene.canaries.planted)
    ticket, engagement = await _engaged(scene, GRANTED)
    line = scene.group.lines[MUNICH]
    line.cut()
    plant = scene.canaries.plant
    await scene.engage(scene.munich, "NoteEngagementWork", engagement, text=plant(OFFLINE))
    await scene.engage(scene.munich, "DeliverEngagement", engagement, solution=plant(OFFLINE))
    await scene.do("CommentTicket", ticket.name, text=plant(GRANTED))
    await scene.engage(scene.shanghai, "WithdrawEngagement", engagement)
    await _close(scene, ticket.name)
    complained_about = ticket_in(scene.complaint)
    about_first = _texts_about(scene, first) | _texts_about(scene, complained_about) | scene.canaries.of(COMPLAINED)
    for name in (first, complained_about, ticket.name):
        customer = (await scene.shanghai.tickets.GetTicket(rpc.GetTicketRequest(name=name))).customer
        request = rpc.EraseCustomerRequest(name=customer, ground=pb.REQUEST_OF_PERSON, request_id=str(uuid4()))
        await scene.shanghai.customers.EraseCustomer(request)
    line.heal()
    await _until_erased(scene, {first, ticket.name})
    await _until_headquarters_erased(scene, complained_about)
    return (set(scene.canaries.planted) - before) | about_first


def _texts_about(scene: Scene, ticket: str) -> set[str]:
    """Return the canaries in Shanghai's log about a ticket."""
    with psycopg.connect(scene.settings(SHANGHAI).database_url) as connection:
        rows = connection.execute(
            "SELECT sealed FROM ticket.log_record WHERE resource LIKE %s AND sealed IS NOT NULL", [f"{ticket}%"]
        ).fetchall()
    return found_in(b"\n".join(row[0] for row in rows))


async def _until_erased(scene: Scene, tickets: set[str]) -> None:
    """Wait until the services of both units have been told."""

    async def everywhere() -> bool:
        for unit in (SHANGHAI, MUNICH):
            with psycopg.connect(scene.settings(unit).database_url) as connection:
                for schema in ("ticket", "knowledge", "federation"):
                    rows = connection.execute(f"SELECT ticket FROM {schema}.erasure")  # noqa: S608
                    if not {row[0] for row in rows} >= tickets:
                        return False
        return True

    await scene.until(everywhere, "every service has erased")
    await _until_quiet(scene)


async def _until_headquarters_erased(scene: Scene, ticket: str) -> None:
    async def erased_there() -> bool:
        with psycopg.connect(scene.settings(HQ).database_url) as connection:
            return bool(connection.execute("SELECT FROM federation.erasure WHERE ticket = %s", [ticket]).rowcount)

    await scene.until(erased_there, "headquarters has erased what came with the complaint")


def test_a_good_deal_is_erased(erased: set[str], scene: Scene) -> None:
    assert len(erased) >= 20
    assert erased & scene.canaries.of(OFFLINE) == scene.canaries.of(OFFLINE)


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_has_what_was_erased(scene: Scene, erased: set[str], unit: str) -> None:
    assert in_database(scene.settings(unit)) & erased == set()
    if unit != HQ:
        # Headquarters' reactions do not run here, and what its queues hold is about no ticket.
        assert in_broker(scene.settings(unit)) & erased == set()


def test_what_was_published_stays(scene: Scene, erased: set[str]) -> None:
    assert in_database(scene.settings(SHANGHAI)) >= scene.canaries.of(SHARED)


def test_others_stay(scene: Scene, erased: set[str]) -> None:
    assert len(in_database(scene.settings(SHANGHAI)) & stays(scene)) >= 400


@pytest.mark.parametrize("unit", UNITS)
async def test_every_chain_verifies_afterwards(scene: Scene, erased: set[str], unit: str) -> None:
    desk = scene.desks[unit]
    heads = (await desk.logs.ListStreams(log_pb2.ListStreamsRequest())).streams
    for head in heads:
        answer = await desk.logs.VerifyStream(log_pb2.VerifyStreamRequest(stream=head.stream))
        assert answer.intact, answer.problem
