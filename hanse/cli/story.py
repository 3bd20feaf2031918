"""The main job, from end to end: what `hanse demo` shows and what the end-to-end test asserts.

A customer of Shanghai reports a fault. Shanghai can't solve it in time; it climbs, crosses the border to Munich, is
solved there while the line is cut, comes back, is complained about, becomes knowledge, and is settled. Every step is
done through the same rpcs that everybody calls, on a real group; what should follow is waited for, and `StoryFailed`
says what did not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from uuid import uuid4

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from hanse.cli import output
from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk, PartnerSystem
from hanse.cli.health import gather
from hanse.cli.stage import HQ, LADDER_SECONDS, MUNICH, SHANGHAI, Stage, StoryFailed, StoryResult, request_id
from hanse.policy import load_yaml
from hanse_protos.federation.v1 import complaints_pb2, group_pb2
from hanse_protos.gateway.v1 import gateway_pb2
from hanse_protos.knowledge.v1 import knowledge_pb2
from hanse_protos.policy.v1 import draft_pb2, policy_pb2
from hanse_protos.settlement.v1 import settlement_pb2
from hanse_protos.ticket.v1 import complaint_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

TITLE = "门店显示屏间歇性黑屏"
DESCRIPTION = "三号店的 OLED 显示屏每隔几分钟黑屏一次，重启后仍然出现。"
SOLUTION = "Netzteil tauschen und Firmware auf 4.2 aktualisieren: der Regler schaltet bei Unterspannung ab."
CHINESE_SUMMARY = "显示屏间歇性黑屏：更换电源模块，并将固件升级到 4.2。"
COMPLAINT = "处理期间，没有人主动告知进展。"
COMPLAINT_ANSWER = "您说得对：转交慕尼黑时我们应当通知您。今后每次转交都会通知。"


class Story(Stage):
    """The story, on a group that is running."""

    async def tell(self) -> StoryResult:
        """Tell the whole story."""
        async with self:
            for number, (title, chapter) in enumerate(self._chapters(), 1):
                self.narrator.chapter(number, title)
                await chapter()
        return self.result

    def _chapters(self) -> Iterable[tuple[str, Callable[[], Awaitable[None]]]]:
        yield "Headquarters publishes the group's standards", self.publish_policy
        yield "A customer of Shanghai reports a fault", self.report_fault
        yield "The clock runs; the ticket climbs the ladder", self.climb_ladder
        yield "Headquarters looks for a provider", self.find_provider
        yield "The line is cut, and both units work on", self.cut_line
        yield "Shanghai confirms, tells the customer, closes", self.close
        yield "The customer complains, past the tiers", self.complain
        yield "The solution becomes knowledge for all", self.share_knowledge
        yield "The two units settle", self.settle
        yield "All is well", self.look_around

    # 1

    async def publish_policy(self) -> None:
        """Draft version 1, have somebody else review it, publish it, and wait until every unit has acknowledged it."""
        published = await self._reviewed_policy()
        policy = await self.hq.policies.GetPolicy(policy_pb2.GetPolicyRequest(name=published.policy))
        self.narrator.say(f"{policy.name}: “{policy.document.title}”")
        author, reviewer = output.who(published.author), output.who(published.reviewer)
        self.narrator.say(
            f"{author} drafted it, who can't approve of it (REVIEWER_IS_AUTHOR), and {reviewer} reviewed it"
        )

        async def acknowledged() -> bool:
            reply = await self.hq.group.ListUnits(group_pb2.ListUnitsRequest())
            return {unit.unit for unit in reply.units if unit.policy_version == policy.version} >= {
                SHANGHAI,
                MUNICH,
                HQ,
            }

        await self._eventually(acknowledged, "every unit acknowledges the policy")
        self.narrator.say(f"Shanghai, Munich and headquarters have acknowledged version {policy.version}")

    async def _reviewed_policy(self) -> draft_pb2.PolicyDraft:
        request = draft_pb2.CreatePolicyDraftRequest(
            document=load_yaml(self._policy_file.read_text()), request_id=request_id()
        )
        writer, reviewer = self.hq.policy_drafts, self.berg.policy_drafts
        name = (await writer.CreatePolicyDraft(request)).name
        await writer.SubmitPolicyDraft(draft_pb2.SubmitPolicyDraftRequest(name=name, request_id=request_id()))
        own = draft_pb2.ApprovePolicyDraftRequest(name=name, request_id=request_id())
        refused = await self._refusal(writer.ApprovePolicyDraft(own))
        self._require(refused == "REVIEWER_IS_AUTHOR", "whoever drafted the policy does not approve of it")
        await reviewer.ApprovePolicyDraft(draft_pb2.ApprovePolicyDraftRequest(name=name, request_id=request_id()))
        publication = draft_pb2.PublishPolicyDraftRequest(name=name, request_id=request_id())
        published: draft_pb2.PolicyDraft = await writer.PublishPolicyDraft(publication)
        return published

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

    async def complain(self) -> None:
        """Let the customer complain, somebody who did not work on the ticket answer, and headquarters see it end."""
        filed = await self.partner.service.CreateComplaint(
            gateway_pb2.PartnerCreateComplaintRequest(
                parent=self.result.ticket, text=COMPLAINT, request_id=request_id()
            )
        )
        name, desk = filed.name, self.chen.complaints
        known = await desk.GetComplaint(complaint_pb2.GetComplaintRequest(name=name))
        self._require(known.summary.level == policy_pb2.HierarchyStep.UNIT_MANAGER, "a complaint goes past the tiers")
        self.narrator.say(f"“{COMPLAINT}” goes to Shanghai's manager, past the tiers")
        acknowledge = complaint_pb2.AcknowledgeComplaintRequest(name=name, request_id=request_id())
        self._require(
            await self._refusal(self.wang.complaints.AcknowledgeComplaint(acknowledge)) == "COMPLAINT_HANDLER_INVOLVED",
            "who worked on the ticket does not judge it",
        )
        self.narrator.say("Wang worked on the ticket, and may not look into it; Chen takes it up")
        await desk.AcknowledgeComplaint(acknowledge)
        await desk.AnswerComplaint(
            complaint_pb2.AnswerComplaintRequest(
                name=name, text=COMPLAINT_ANSWER, outcome=complaint_pb2.UPHELD, request_id=request_id()
            )
        )
        read = await self.partner.service.GetComplaint(gateway_pb2.PartnerGetComplaintRequest(name=name))
        self._require(read.answer == COMPLAINT_ANSWER, "the customer reads the answer")
        self.narrator.say(f"The complaint is upheld; the customer reads: “{read.answer}”")
        close = complaint_pb2.CloseComplaintRequest(name=name, request_id=request_id())
        self._require(
            await self._refusal(desk.CloseComplaint(close)) == "COMPLAINT_REPLY_AWAITED",
            "who answered it does not end it before the customer could say something",
        )
        self.result.complaint = await self.zhao.complaints.CloseComplaint(close)
        await self._until_closed_at_headquarters(name)
        seen = await self.hq.group_complaints.GetGroupComplaint(complaints_pb2.GetGroupComplaintRequest(name=name))
        self._require(not seen.text + seen.answer, "no word of what headquarters does not have to answer goes there")
        self.narrator.say("The customer is content, and Zhao closes it; headquarters sees that, and none of the words")

    async def _until_closed_at_headquarters(self, name: str) -> None:
        request = complaints_pb2.ListGroupComplaintsRequest(parent=SHANGHAI, states=[complaint_pb2.COMPLAINT_CLOSED])

        async def closed() -> bool:
            reply = await self.hq.group_complaints.ListGroupComplaints(request)
            return any(each.complaint.name == name for each in reply.complaints)

        await self._eventually(closed, "headquarters sees that the complaint is closed")

    # 8

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

    # 9

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

    # 10

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
