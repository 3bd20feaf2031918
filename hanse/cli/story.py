"""The main job, from end to end: what `hanse demo` shows and what the end-to-end test asserts.

A customer of Shanghai reports a fault. Shanghai can't solve it in time; it climbs, crosses the border to Munich, is
solved there while the line is cut, comes back, becomes knowledge, and is settled. Every step is done through the same
rpcs that everybody calls, on a real group; what should follow is waited for, and `StoryFailed` says what did not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from hanse.cli import output
from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk, PartnerSystem
from hanse.cli.health import UnitHealth, gather
from hanse.errors import HanseError
from hanse.local.group import Group
from hanse.policy import load_yaml
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.gateway.v1 import gateway_pb2
from hanse_protos.knowledge.v1 import knowledge_pb2
from hanse_protos.policy.v1 import policy_pb2
from hanse_protos.settlement.v1 import settlement_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

SHANGHAI, MUNICH, HQ = "units/shanghai", "units/munich", "units/hq"

PATIENCE_SECONDS = 30.0
"""How long the story waits for what should follow from a step, before it says that it did not."""
LADDER_SECONDS = 60.0
"""How long it waits for the ladder: the demo's targets are seconds, on real timers."""
LOOK_INTERVAL_SECONDS = 0.2

TITLE = "门店显示屏间歇性黑屏"
DESCRIPTION = "三号店的 OLED 显示屏每隔几分钟黑屏一次，重启后仍然出现。"
SOLUTION = "Netzteil tauschen und Firmware auf 4.2 aktualisieren: der Regler schaltet bei Unterspannung ab."
CHINESE_SUMMARY = "显示屏间歇性黑屏：更换电源模块，并将固件升级到 4.2。"


class StoryFailed(HanseError):  # noqa: N818 - the errors of Hanse say what is wrong.
    """What should have followed from a step of the story did not."""

    reason = "STORY_FAILED"
    message = "The story did not go on."
    hint = "The logs of the units are in the group's folder, units/*/roles.log and reactions.log."


class Narrator(Protocol):
    """Tells the story to somebody."""

    def chapter(self, number: int, title: str) -> None:
        """Begin a chapter."""

    def say(self, text: str) -> None:
        """Say what happened."""

    def waiting(self, text: str) -> Any:
        """Return a context manager for the time in which the story waits for something."""


@dataclass
class StoryResult:
    """What came of it, to be shown or checked."""

    ticket: str = ""
    engagement: str = ""
    charge: str = ""
    article: str = ""
    timeline: list[pb.TimelineEntry] = field(default_factory=list)
    final_ticket: pb.Ticket = field(default_factory=pb.Ticket)
    statements: list[settlement_pb2.Statement] = field(default_factory=list)
    match: group_pb2.MatchedCharge = field(default_factory=group_pb2.MatchedCharge)
    health: list[UnitHealth] = field(default_factory=list)


def request_id() -> str:
    """Return a new request id."""
    return str(uuid4())


class Story:
    """The story, on a group that is running."""

    def __init__(self, group: Group, policy_file: Path, narrator: Narrator) -> None:
        self.group = group
        self.folder = group.folder.path
        self.narrator = narrator
        self.result = StoryResult()
        self._policy_file = policy_file
        self._stack = AsyncExitStack()

    async def tell(self) -> StoryResult:
        """Tell the whole story."""
        async with self._stack:
            await self._sit_down()
            for number, (title, chapter) in enumerate(self._chapters(), 1):
                self.narrator.chapter(number, title)
                await chapter()
        return self.result

    async def _sit_down(self) -> None:
        """Sign everybody in."""
        self.wang = await self._desk(SHANGHAI, "wang")
        self.huber = await self._desk(MUNICH, "huber")
        self.keller = await self._desk(MUNICH, "keller")
        self.hq = await self._desk(HQ, "lindqvist")

    async def _desk(self, unit: str, person: str) -> Desk:
        return await self._stack.enter_async_context(Desk(settings_of(self.folder, unit), person))

    def _chapters(self) -> Iterable[tuple[str, Callable[[], Awaitable[None]]]]:
        yield "Headquarters publishes the group's standards", self.publish_policy
        yield "A customer of Shanghai reports a fault", self.report_fault
        yield "The clock runs; the ticket climbs the ladder", self.climb_ladder
        yield "Headquarters looks for a provider", self.find_provider
        yield "The line is cut, and both units work on", self.cut_line
        yield "Shanghai confirms, tells the customer, closes", self.close
        yield "The solution becomes knowledge for all", self.share_knowledge
        yield "The two units settle", self.settle
        yield "All is well", self.look_around

    # 1

    async def publish_policy(self) -> None:
        """Publish version 1, and wait until every unit has acknowledged it."""
        request = policy_pb2.PublishPolicyRequest(
            document=load_yaml(self._policy_file.read_text()), request_id=request_id()
        )
        policy = await self.hq.policies.PublishPolicy(request)
        self.narrator.say(f"{policy.name}: “{policy.document.title}”")

        async def acknowledged() -> bool:
            reply = await self.hq.group.ListUnits(group_pb2.ListUnitsRequest())
            return {unit.unit for unit in reply.units if unit.policy_version == policy.version} >= {
                SHANGHAI,
                MUNICH,
                HQ,
            }

        await self._eventually(acknowledged, "every unit acknowledges the policy")
        self.narrator.say(f"Shanghai, Munich and headquarters have acknowledged version {policy.version}")

    # 2

    async def report_fault(self) -> None:
        """Let a partner's system open a ticket, twice with one request id."""
        request = gateway_pb2.CreatePartnerRequest(
            partner_id=f"retail-{uuid4().hex[:6]}",
            partner=gateway_pb2.Partner(title="Huaxing Retail"),
            request_id=request_id(),
        )
        partner = await self.wang.partners.CreatePartner(request)
        settings = settings_of(self.folder, SHANGHAI)
        self.partner = await self._stack.enter_async_context(PartnerSystem(settings, partner.api_key))
        fault = gateway_pb2.PartnerCreateTicketRequest(
            title=TITLE,
            description=DESCRIPTION,
            category="display",
            priority=pb.P2,
            language="zh",
            contact=pb.Contact(reference="C-1001", display_name="陈女士", phone="+86 21 5555 0100"),
            request_id=request_id(),
        )
        ticket, again = await self._when_ready(fault), await self.partner.service.CreateTicket(fault)
        self._require(ticket.name == again.name, "the same request gives the same ticket")
        self.result.ticket = ticket.name
        self.narrator.say(f"{TITLE} → {ticket.name}")
        self.narrator.say("The same request again gave the same ticket")

    async def _when_ready(self, fault: gateway_pb2.PartnerCreateTicketRequest) -> gateway_pb2.PartnerTicket:
        """Open the ticket as soon as the desk has been told the policy that the unit acknowledged."""
        ticket: gateway_pb2.PartnerTicket | None = None

        async def opened() -> bool:
            nonlocal ticket
            try:
                ticket = await self.partner.service.CreateTicket(fault)
            except grpc.aio.AioRpcError as error:
                if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE):
                    return False
                raise
            return True

        await self._eventually(opened, "the desk of Shanghai has the policy")
        return ticket or gateway_pb2.PartnerTicket()

    # 3

    async def climb_ladder(self) -> None:
        """Work on the ticket, pause it, let it climb; wait for the warning and for the request of an engagement."""
        tickets, name = self.wang.tickets, self.result.ticket
        await tickets.AssignTicket(
            rpc.AssignTicketRequest(name=name, assignee=self.wang.actor, request_id=request_id())
        )
        await tickets.CommentTicket(
            rpc.CommentTicketRequest(name=name, text="已收到，正在处理。", public=True, request_id=request_id())
        )
        self.narrator.say("Tier 1 answers: the response clock stops")
        await tickets.PauseTicket(
            rpc.PauseTicketRequest(
                name=name, waiting_for="customer", reason="请提供显示屏序列号。", request_id=request_id()
            )
        )
        self.narrator.say("Tier 1 asks the customer: the resolution clock stands")
        with self.narrator.waiting("the customer looks for the serial number"):
            await asyncio.sleep(2)
        await self.partner.service.CommentTicket(
            gateway_pb2.PartnerCommentTicketRequest(name=name, text="序列号 SN-88231。", request_id=request_id())
        )
        self.narrator.say("The customer answers: the clock runs on")
        await tickets.EscalateTicket(
            rpc.EscalateTicketRequest(name=name, reason="需要硬件诊断", request_id=request_id())
        )
        self.narrator.say("Tier 1 hands it to tier 2")
        await self._until_told("SlaWarned", "the warning before the breach, on a real timer", LADDER_SECONDS)
        self.narrator.say("The warning fired, before the breach")
        requested = await self._until_told("EngagementRequested", "the ladder's next rung", LADDER_SECONDS)
        self.result.engagement = requested.resource
        self.narrator.say("The ladder asked headquarters for a provider")

    # 4

    async def find_provider(self) -> None:
        """Let Munich decline, headquarters' own desk keep silent, and Munich accept in the second round."""
        name = self.result.engagement
        await self._until_offered(self.huber, 1)
        self.narrator.say("Offer 1 goes to Munich, by the policy's skill and score")
        await self.huber.engagements.DeclineEngagement(
            rpc.DeclineEngagementRequest(name=name, reason="Kein Techniker frei", request_id=request_id())
        )
        self.narrator.say("Munich declines")
        await self._until_offered(self.hq, 2)
        self.narrator.say("Offer 2 goes to headquarters' own desk, which does not answer")
        await self._until_offered(self.huber, 3)
        self.narrator.say("It ran out under its OLA; offer 3 goes to Munich again")
        await self.huber.engagements.AcceptEngagement(
            rpc.AcceptEngagementRequest(name=name, assignee=self.huber.actor, request_id=request_id())
        )

        async def held_by_munich() -> bool:
            return (await self._ticket()).holder == MUNICH

        await self._eventually(held_by_munich, "Shanghai hears that Munich holds the ticket")
        self.narrator.say("Munich accepts: the ticket, and its clock, are with Munich now")

    async def _until_offered(self, desk: Desk, number: int) -> None:
        request = rpc.GetEngagementRequest(name=self.result.engagement)

        async def offered() -> bool:
            try:
                engagement = await desk.engagements.GetEngagement(request)
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    return False
                raise
            return bool(engagement.offer == number and engagement.state == pb.OFFERED)

        await self._eventually(offered, f"offer {number} arrives in {output.unit(desk.unit)}")

    # 5

    async def cut_line(self) -> None:
        """Cut Munich's line, work in both units, heal it, and see that everything arrived once and in order."""
        self.group.lines[MUNICH].cut()
        self.narrator.say("The line between Munich and headquarters is cut")

        async def unreachable() -> bool:
            return not (await self._unit_status(MUNICH)).reachable

        await self._eventually(unreachable, "headquarters notices")
        self.narrator.say("Headquarters shows Munich as unreachable")
        await self._work_in_munich()
        waiting = await self._waiting_in_munich()
        self._require(waiting > 0, "what happens behind a cut line waits there")
        self.narrator.say(f"{waiting} events wait in Munich's log for the line to come back")
        ticket = await self._open_another()
        self.narrator.say(f"Shanghai goes on with other tickets: {ticket.name}")
        before = await self._timeline()
        self._require(
            not any(entry.type == "EngagementDelivered" for entry in before), "nothing crosses a line that is cut"
        )
        self.group.lines[MUNICH].heal()
        self.narrator.say("The line heals")
        await self._until_told("EngagementDelivered", "Munich catches up")
        steps = [entry.type for entry in await self._timeline() if entry.type.startswith("EngagementWork")]
        self._require(steps == ["EngagementWorkNoted"] * 2, "every work note arrives once")
        self.narrator.say("Everything that Munich did arrived once, in order")

    async def _work_in_munich(self) -> None:
        name, engagements = self.result.engagement, self.huber.engagements
        for text in ("Netzteil gemessen: 11,2 V statt 12 V.", "Firmware 3.9, bekannter Fehler im Regler."):
            await engagements.NoteEngagementWork(
                rpc.NoteEngagementWorkRequest(name=name, text=text, request_id=request_id())
            )
        await engagements.DeliverEngagement(
            rpc.DeliverEngagementRequest(name=name, solution=SOLUTION, request_id=request_id())
        )
        self.narrator.say("Munich works on: two work notes, and the solution")

    async def _waiting_in_munich(self) -> int:
        """Return how many events Munich has that headquarters has not acknowledged."""
        link = await self.huber.link.GetLink(group_pb2.GetLinkRequest())
        return sum(stream.sequence - stream.acknowledged for stream in link.streams)

    async def _open_another(self) -> pb.Ticket:
        asked = pb.Ticket(title="发票抬头需要修改", category="billing", priority=pb.P4, language="zh")
        request = rpc.CreateTicketRequest(parent=SHANGHAI, ticket=asked, request_id=request_id())
        ticket: pb.Ticket = await self.wang.tickets.CreateTicket(request)
        await self.wang.tickets.ResolveTicket(
            rpc.ResolveTicketRequest(name=ticket.name, solution="已更正并重新开具。", request_id=request_id())
        )
        return ticket

    # 6

    async def close(self) -> None:
        """Confirm, tell the customer, resolve, close; the clock is the sum of its segments."""
        name, tickets = self.result.ticket, self.wang.tickets
        confirm = rpc.ConfirmEngagementRequest(name=self.result.engagement, request_id=request_id())
        await self.wang.engagements.ConfirmEngagement(confirm)
        text = "已定位问题：更换电源模块并升级固件，技师明日上门。"
        await tickets.CommentTicket(
            rpc.CommentTicketRequest(name=name, text=text, public=True, request_id=request_id())
        )
        await tickets.ResolveTicket(
            rpc.ResolveTicketRequest(name=name, solution=CHINESE_SUMMARY, request_id=request_id())
        )
        await tickets.CloseTicket(rpc.CloseTicketRequest(name=name, request_id=request_id()))
        self.result.final_ticket, self.result.timeline = await self._ticket(), await self._timeline()
        self.narrator.say(f"Closed. It was {name} from the first minute to the last, in both units")
        for clock in self.result.final_ticket.clocks:
            total = sum((segment.used_duration.ToTimedelta() for segment in clock.segments), start=timedelta(0))
            self._require(total == clock.used_duration.ToTimedelta(), "a clock is the sum of its segments")
            parts = " + ".join(
                f"{output.unit(segment.unit)} {segment.used_duration.ToTimedelta().total_seconds():.1f} s"
                for segment in clock.segments
                if segment.running
            )
            kind = pb.Clock.Kind.Name(clock.kind).lower()
            self.narrator.say(f"The {kind} clock: {parts} = {total.total_seconds():.1f} s")

    # 7

    async def share_knowledge(self) -> None:
        """Review the draft that the delivery made, share it, and find it in Shanghai in two languages."""
        draft = await self._draft()
        knowledge = self.huber.knowledge
        summarized = knowledge_pb2.Article(name=draft.name, summaries={"zh": CHINESE_SUMMARY})
        await knowledge.UpdateArticle(
            knowledge_pb2.UpdateArticleRequest(
                article=summarized, update_mask=FieldMask(paths=["summaries"]), request_id=request_id()
            )
        )
        await knowledge.SubmitArticle(knowledge_pb2.SubmitArticleRequest(name=draft.name, request_id=request_id()))
        await self.keller.knowledge.PublishArticle(
            knowledge_pb2.PublishArticleRequest(name=draft.name, scope=knowledge_pb2.GROUP, request_id=request_id())
        )
        self.result.article = draft.name
        self.narrator.say(f"Drafted from Munich's delivery, reviewed by a second person, shared: {draft.name}")
        for query in ("黑屏 电源", "Netzteil Unterspannung"):
            await self._until_found(query)
            self.narrator.say(f"Found in Shanghai: “{query}”")

    async def _draft(self) -> knowledge_pb2.Article:
        drafts: list[knowledge_pb2.Article] = []

        async def drafted() -> bool:
            reply = await self.huber.knowledge.ListArticles(knowledge_pb2.ListArticlesRequest(parent=MUNICH))
            drafts[:] = [article for article in reply.articles if article.source == self.result.engagement]
            return bool(drafts)

        await self._eventually(drafted, "the reaction to the delivery drafts an article")
        return drafts[0]

    async def _until_found(self, query: str) -> None:
        request = knowledge_pb2.SearchArticlesRequest(parent=SHANGHAI, query=query)

        async def found() -> bool:
            reply = await self.wang.knowledge.SearchArticles(request)
            return any(hit.article.name == self.result.article for hit in reply.hits)

        await self._eventually(found, f"“{query}” finds it in Shanghai")

    # 8

    async def settle(self) -> None:
        """See one charge in both ledgers, and its match at headquarters."""

        async def matched() -> bool:
            reply = await self.hq.group.ListMatchedCharges(group_pb2.ListMatchedChargesRequest())
            for charge in reply.charges:
                if charge.state == group_pb2.MATCHED and self._is_of_story(charge):
                    self.result.match, self.result.charge = charge, charge.charge
                    return True
            return False

        await self._eventually(matched, "headquarters matches both legs")
        for desk in (self.wang, self.huber):
            request = settlement_pb2.GetStatementRequest(parent=desk.unit)
            statement = await desk.settlement.GetStatement(request)
            self._require(statement.balanced, "debits equal credits")
            self.result.statements.append(statement)
        amount = output.money(self.result.match.payable)
        self.narrator.say(f"{self.result.charge}: Shanghai owes Munich {amount}; both ledgers say so, and they match")

    def _is_of_story(self, charge: group_pb2.MatchedCharge) -> bool:
        ticket = self.result.ticket.rsplit("/", 1)[-1]
        return f".{ticket}." in charge.charge

    # 9

    async def look_around(self) -> None:
        """Wait until everything is green, with every hash chain recomputed at both ends."""

        async def green() -> bool:
            self.result.health = await gather(self.folder, verify=True)
            return all(health.green for health in self.result.health)

        try:
            await self._eventually(green, "everything is green")
        except StoryFailed as error:
            problems = [f"{health.unit}: {problem}" for health in self.result.health for problem in health.problems]
            raise StoryFailed(f"{error} ({'; '.join(problems) or 'something is behind'})") from error
        records = sum(health.verified_records or 0 for health in self.result.health)
        self.narrator.say(f"{records} log records verified: every unit against headquarters, and back")

    # What the chapters have in common.

    async def _ticket(self) -> pb.Ticket:
        ticket: pb.Ticket = await self.wang.tickets.GetTicket(rpc.GetTicketRequest(name=self.result.ticket))
        return ticket

    async def _timeline(self) -> list[pb.TimelineEntry]:
        request = rpc.ListTimelineEntriesRequest(parent=self.result.ticket, page_size=1000)
        return list((await self.wang.tickets.ListTimelineEntries(request)).entries)

    async def _unit_status(self, unit: str) -> group_pb2.UnitStatus:
        reply = await self.hq.group.ListUnits(group_pb2.ListUnitsRequest())
        return next((status for status in reply.units if status.unit == unit), group_pb2.UnitStatus())

    async def _until_told(self, kind: str, what: str, patience_seconds: float = PATIENCE_SECONDS) -> pb.TimelineEntry:
        found: list[pb.TimelineEntry] = []

        async def told() -> bool:
            found[:] = [entry for entry in await self._timeline() if entry.type == kind]
            return bool(found)

        await self._eventually(told, what, patience_seconds)
        return found[0]

    async def _eventually(
        self,
        condition: Callable[[], Awaitable[bool]],
        what: str,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Wait until a condition holds. Raises StoryFailed where it does not in time."""
        deadline = asyncio.get_running_loop().time() + patience_seconds
        with self.narrator.waiting(what):
            while not await condition():
                if asyncio.get_running_loop().time() > deadline:
                    raise StoryFailed(f"waited {patience_seconds:.0f} s in vain: {what}")
                await asyncio.sleep(LOOK_INTERVAL_SECONDS)

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise StoryFailed(f"does not hold: {what}")
