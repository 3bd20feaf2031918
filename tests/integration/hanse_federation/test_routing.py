"""Headquarters asks one unit after the other; each hears what concerns it, and only what it may."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hanse.errors import IllegalTransition, NothingToSkip, ResourceNotFound
from hanse.log.events import Origin, new_event
from hanse.log.sealing import texts_of
from hanse.names import HEADQUARTERS
from hanse.policy import load_yaml
from hanse_federation.headquarters.routing import (
    expire_offer,
    list_open_engagements,
    offer_engagement,
    reassign_engagement,
    skip_offer,
)
from hanse_federation.headquarters.views import list_group_engagements
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import Policy, PolicyPublished
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary, eventually, start_unit, summary
from tests.support import POLICY_YAML, small_policy

NAME = "units/shanghai/tickets/t1/engagements/e1"
TICKET = "units/shanghai/tickets/t1"
OFFER_MINUTES = 15
PREFERENCE = """'provider.unit == "units/munich" ? 1 : 0'"""

SHARING = """
sharing:
  - {events: [EngagementRequested, EngagementDelivered, TicketCommented], fields: ["*"], audience: COUNTERPART}
  - {events: [ArticlePublished], fields: [title], audience: GROUP}
"""


def sharing_policy() -> Policy:
    """Return the small policy, with rules that grant something and a preference for Munich."""
    document = load_yaml(POLICY_YAML.replace("0 - load", PREFERENCE) + SHARING)
    return Policy(name="policies/1", version=1, document=document)


@pytest.fixture
async def hq_desk(group: Group) -> Unit:
    """Headquarters' own desk."""
    return await start_unit(group, HEADQUARTERS)


@pytest.fixture
async def requested(group: Group, shanghai: Unit, munich: Unit) -> str:
    """An engagement that Shanghai asks for; headquarters knows it, and nobody was asked yet."""
    await group.enact(sharing_policy())
    await shanghai.enact(sharing_policy())
    await munich.enact(sharing_policy())
    request = told.EngagementRequested(engagement=engagement_summary(NAME))
    await shanghai.tell((NAME, request), sealed={"title": "显示屏黑屏", "description": "开机后无显示"})
    await shanghai.caught_up()
    return NAME


async def offer(group: Group, name: str = NAME) -> pb.Offer:
    """Let headquarters make the next offer."""
    answer = await group.execute(offer_engagement, pb.OfferEngagementRequest(name=name), pb.OfferEngagementResponse)
    return answer.offer


async def expire(group: Group, number: int) -> pb.Offer:
    """Let headquarters end an offer."""
    request = pb.ExpireOfferRequest(name=NAME, offer=number)
    return (await group.execute(expire_offer, request, pb.ExpireOfferResponse)).offer


async def answer(unit: Unit, payload_type: Any, number: int, state: int, **sealed: str) -> None:
    """Let a provider tell something on its offer."""
    engagement = engagement_summary(NAME, provider=unit.name, offer=number, state=state)
    await unit.tell((NAME, payload_type(engagement=engagement)), sealed=sealed)
    await unit.caught_up()


async def state(group: Group) -> pb.GroupEngagement:
    """Return what headquarters knows of the engagement."""
    request = pb.ListGroupEngagementsRequest(parent="units/-")
    return (await group.hq.database.read(list_group_engagements, request)).engagements[0]


async def test_an_offer_reaches_the_provider_with_the_request_and_the_home_unit_without(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    made = await offer(group)
    await munich.caught_up()
    await shanghai.caught_up()
    assert (made.provider, made.number, made.state, made.final) == ("units/munich", 1, pb.OPEN, False)
    assert await munich.told_types() == ["EngagementRequested", "EngagementOffered"]
    assert await shanghai.told_types() == ["EngagementOffered"]


async def test_the_counterpart_reads_what_was_granted(group: Group, requested: str, munich: Unit) -> None:
    await offer(group)
    await munich.caught_up()
    assert texts_of((await munich.told())[0].sealed) == {"title": "显示屏黑屏", "description": "开机后无显示"}


async def test_whose_an_engagement_is_and_what_it_is_about_its_home_says(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await offer(group)
    await munich.caught_up()
    lie: dict[str, Any] = {"policy_version": 7, "ticket": summary(TICKET, category="payroll")}
    declined = engagement_summary(NAME, provider=munich.name, offer=1, state=ticket.DECLINED, **lie)
    stolen = engagement_summary(NAME, provider=munich.name, offer=1, state=ticket.DECLINED, home=munich.name)
    await munich.tell((NAME, told.EngagementDeclined(engagement=stolen)))
    await munich.tell((NAME, told.EngagementDeclined(engagement=declined)))
    await munich.caught_up()
    known = (await state(group)).engagement
    assert (known.home, known.ticket.category, known.policy_version) == (shanghai.name, "display", 1)
    await offer(group)
    await shanghai.caught_up()
    assert await shanghai.told_types() == ["EngagementOffered", "EngagementDeclined", "EngagementOffered"]


async def test_a_provider_does_not_put_off_the_next_offer(group: Group, requested: str, munich: Unit) -> None:
    await offer(group)
    await munich.caught_up()
    declined = engagement_summary(NAME, provider=munich.name, offer=1, state=ticket.DECLINED)
    far = datetime(2099, 1, 1, tzinfo=UTC)
    payload = told.EngagementDeclined(engagement=declined)
    await munich.append([new_event(Origin(munich.name, "tests"), NAME, payload, far)])
    await munich.caught_up()
    answer = await group.hq.database.read(list_open_engagements, pb.ListOpenEngagementsRequest())
    assert answer.open_engagements[0].next_due_time.ToDatetime(UTC) < far


async def test_a_forwarded_fact_keeps_its_bytes(group: Group, requested: str, munich: Unit, shanghai: Unit) -> None:
    await offer(group)
    await munich.caught_up()
    assert (await munich.told())[0].event == (await shanghai.sent())[0].event


async def test_offering_while_an_offer_stands_changes_nothing(group: Group, requested: str) -> None:
    assert await offer(group) == await offer(group)


async def test_two_rounds_end_at_the_final_owner(group: Group, requested: str, hq_desk: Unit, munich: Unit) -> None:
    made = []
    for _ in range(5):
        made.append(await offer(group))
        group.later(minutes=OFFER_MINUTES)
        await expire(group, made[-1].number)
    providers = [(each.provider, each.final) for each in made]
    each_round = [("units/munich", False), ("units/hq", False)]
    assert providers == [*each_round, *each_round, ("units/hq", True)]


async def test_the_final_offer_never_runs_out(group: Group, requested: str) -> None:
    for number in range(1, 5):
        await offer(group)
        group.later(minutes=OFFER_MINUTES)
        await expire(group, number)
    final = await offer(group)
    group.later(minutes=OFFER_MINUTES)
    after = await expire(group, final.number)
    assert (after.state, after.expire_time.ToDatetime() - final.expire_time.ToDatetime()) == (
        pb.OPEN,
        timedelta(minutes=OFFER_MINUTES),
    )
    assert await offer(group) == after


async def test_a_provider_is_sent_the_request_once(group: Group, requested: str, munich: Unit, hq_desk: Unit) -> None:
    for number in range(1, 5):
        await offer(group)
        group.later(minutes=OFFER_MINUTES)
        await expire(group, number)
    await munich.caught_up()
    assert (await munich.told_types()).count("EngagementRequested") == 1
    assert (await munich.told_types()).count("EngagementOffered") == 2


async def test_an_offer_that_still_has_time_does_not_expire(group: Group, requested: str) -> None:
    await offer(group)
    assert (await expire(group, 1)).state == pb.OPEN


async def test_an_acceptance_reaches_the_home_unit_and_settles_the_engagement(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await offer(group)
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    await shanghai.caught_up()
    assert (await shanghai.told_types())[-1] == "EngagementAccepted"
    response = await group.execute(offer_engagement, pb.OfferEngagementRequest(name=NAME), pb.OfferEngagementResponse)
    assert response.settled
    assert (await state(group)).engagement.state == ticket.ACCEPTED


async def had_worked_on_it(unit: Unit) -> bool:
    """Return whether a unit was told, last, that an engagement is its own no more on which it had worked."""
    last = (await unit.told())[-1]
    assert last.type == told.EngagementOfferWithdrawn.DESCRIPTOR.full_name
    return told.EngagementOfferWithdrawn.FromString(last.decoded().payload).worked_on


async def test_a_late_acceptance_is_taken_back_and_the_home_unit_never_hears_of_it(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await offer(group)
    group.later(minutes=OFFER_MINUTES)
    await expire(group, 1)
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    await munich.caught_up()
    await shanghai.caught_up()
    assert not await had_worked_on_it(munich)
    assert "EngagementAccepted" not in await shanghai.told_types()
    assert (await state(group)).engagement.state == ticket.EXPIRED


async def test_a_decline_opens_the_way_for_the_next_offer(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    first = await offer(group)
    await answer(munich, told.EngagementDeclined, 1, ticket.DECLINED, text="keine Zeit")
    second = await offer(group)
    assert (first.provider, second.provider) == ("units/munich", "units/hq")
    assert [each.state for each in (await state(group)).offers] == [pb.DECLINED, pb.OPEN]


async def test_ungranted_text_stays_in_the_unit(group: Group, requested: str, munich: Unit) -> None:
    await offer(group)
    await answer(munich, told.EngagementDeclined, 1, ticket.DECLINED, text="keine Zeit")
    [declined] = await munich.taken()
    assert declined.sealed is None
    [told_at_home] = [record for record in await munich.sent() if record.event == declined.event]
    assert texts_of(told_at_home.sealed) == {"text": "keine Zeit"}


async def test_the_solution_travels_home_and_the_confirmation_back(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await offer(group)
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    await answer(munich, told.EngagementWorkNoted, 1, ticket.ACCEPTED, text="Kabel geprüft")
    await answer(munich, told.EngagementDelivered, 1, ticket.DELIVERED, text="Kabel getauscht")
    confirmed = engagement_summary(NAME, provider="units/munich", offer=1, state=ticket.CONFIRMED)
    await shanghai.tell((NAME, told.EngagementConfirmed(engagement=confirmed)))
    await shanghai.caught_up()
    await munich.caught_up()
    home = await shanghai.told()
    assert (await shanghai.told_types())[1:] == ["EngagementAccepted", "EngagementWorkNoted", "EngagementDelivered"]
    assert [texts_of(record.sealed) for record in home[2:]] == [{}, {"text": "Kabel getauscht"}]
    assert (await munich.told_types())[-1] == "EngagementConfirmed"
    assert (await state(group)).engagement.state == ticket.CONFIRMED


async def test_a_comment_goes_to_the_provider_at_work_and_not_before(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    async def comment(text: str, holder: str) -> None:
        commented = told.TicketCommented(ticket=summary(TICKET, holder=holder), public=True)
        await shanghai.tell((TICKET, commented), sealed={"text": text})
        await shanghai.caught_up()
        await munich.caught_up()

    await offer(group)
    await comment("还没有人处理", "units/shanghai")
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    await comment("客户在等", "units/munich")
    told_munich = await munich.told()
    assert (await munich.told_types())[2:] == ["TicketCommented"]
    assert texts_of(told_munich[-1].sealed) == {"text": "客户在等"}


async def test_a_provider_is_told_of_its_own_agreement_and_of_no_other_clock(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await offer(group)
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    held = summary(TICKET, holder="units/munich")
    for kind in (ticket.Clock.RESOLUTION, ticket.Clock.ENGAGEMENT_WORK):
        await shanghai.tell((TICKET, told.SlaWarned(ticket=held, kind=kind, percent=75, party="units/munich")))
    await shanghai.tell((TICKET, told.SlaBreached(ticket=held, kind=ticket.Clock.TIER_WORK)))
    await shanghai.caught_up()
    await munich.caught_up()
    assert (await munich.told_types())[2:] == ["SlaWarned"]
    [warned] = [record for record in await munich.told() if record.type.endswith("SlaWarned")]
    assert told.SlaWarned.FromString(warned.decoded().payload).kind == ticket.Clock.ENGAGEMENT_WORK


async def test_a_withdrawn_engagement_takes_its_open_offer_back(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await offer(group)
    withdrawn = engagement_summary(NAME, state=ticket.WITHDRAWN)
    await shanghai.tell((NAME, told.EngagementWithdrawn(engagement=withdrawn)))
    await shanghai.caught_up()
    await munich.caught_up()
    assert (await munich.told_types())[-1] == "EngagementWithdrawn"
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    await munich.caught_up()
    assert (await munich.told_types())[-1] == "EngagementOfferWithdrawn"


async def reassign(group: Group) -> pb.Offer:
    """Let headquarters take the engagement from its provider."""
    request = pb.ReassignEngagementRequest(name=NAME, reason="No news for a week")
    return (await group.execute(reassign_engagement, request, pb.ReassignEngagementResponse)).offer


async def test_what_headquarters_takes_from_a_provider_goes_to_another_and_never_back(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await offer(group)
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    made = [await reassign(group)]
    await munich.caught_up()
    await shanghai.caught_up()
    assert await had_worked_on_it(munich)
    assert (await shanghai.told_types())[-2:] == ["EngagementReassigned", "EngagementOffered"]
    await answer(munich, told.EngagementDelivered, 1, ticket.DELIVERED)
    await shanghai.caught_up()
    assert "EngagementDelivered" not in await shanghai.told_types()
    for _ in range(2):
        group.later(minutes=OFFER_MINUTES)
        await expire(group, made[-1].number)
        made.append(await offer(group))
    assert [(each.provider, each.final) for each in made] == [
        ("units/hq", False), ("units/hq", False), ("units/hq", True),
    ]  # fmt: skip


async def test_headquarters_takes_nothing_that_nobody_works_on(group: Group, requested: str, munich: Unit) -> None:
    await offer(group)
    with pytest.raises(IllegalTransition):
        await reassign(group)


async def test_a_home_unit_that_asks_for_another_provider_gets_another_one(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await offer(group)
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    asked = engagement_summary(NAME, provider="units/munich", offer=1)
    await shanghai.tell((NAME, told.EngagementReassignmentRequested(engagement=asked)))
    await shanghai.caught_up()
    await munich.caught_up()
    assert (await munich.told_types())[-1] == "EngagementReassignmentRequested"
    second = await offer(group)
    assert (second.provider, [each.reassigned for each in (await state(group)).offers]) == ("units/hq", [True, False])
    await answer(munich, told.EngagementDelivered, 1, ticket.DELIVERED)
    assert (await state(group)).engagement.state == ticket.OFFERED


def policy_without(*dropped: str) -> Policy:
    """Return a second version that has renamed the only category, and does not list some units any more."""
    document = load_yaml(POLICY_YAML.replace("id: display", "id: screens"))
    kept = [profile for profile in document.units if profile.unit not in dropped]
    del document.units[:]
    document.units.extend(kept)
    return Policy(name="policies/2", version=2, document=document)


async def test_a_category_that_the_policy_has_dropped_is_routed_by_the_version_that_it_was_asked_for_under(
    group: Group, requested: str, munich: Unit, shanghai: Unit
) -> None:
    await group.enact(policy_without())
    made = [await offer(group)]
    await munich.caught_up()
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    made.append(await reassign(group))
    assert [(each.provider, each.final) for each in made] == [("units/munich", False), ("units/hq", False)]


async def test_a_unit_that_the_policy_has_dropped_is_not_asked_by_an_older_version(
    group: Group, requested: str
) -> None:
    await group.enact(policy_without("units/munich"))
    assert (await offer(group)).provider == "units/hq"


async def test_the_final_owner_is_asked_at_once_where_no_version_knows_the_ticket(group: Group, shanghai: Unit) -> None:
    await group.enact(policy_without("units/shanghai"))
    await shanghai.tell((NAME, told.EngagementRequested(engagement=engagement_summary(NAME))))
    await shanghai.caught_up()
    made = await offer(group)
    assert (made.provider, made.final) == ("units/hq", True)


async def test_only_seeking_engagements_are_open(group: Group, requested: str, munich: Unit) -> None:
    async def open_names() -> list[str]:
        request = pb.ListOpenEngagementsRequest()
        return list((await group.hq.database.read(list_open_engagements, request)).engagements)

    assert await open_names() == [NAME]
    await offer(group)
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    assert await open_names() == []


async def test_an_open_engagement_says_when_routing_has_something_to_do(group: Group, requested: str) -> None:
    async def due_time() -> datetime:
        answer = await group.hq.database.read(list_open_engagements, pb.ListOpenEngagementsRequest())
        [listed] = answer.open_engagements
        assert listed.engagement == NAME
        return listed.next_due_time.ToDatetime(UTC)

    assert await due_time() <= group.now
    made = await offer(group)
    assert await due_time() == made.expire_time.ToDatetime(UTC) > group.now


async def test_an_unknown_engagement_cannot_be_offered(group: Group) -> None:
    with pytest.raises(ResourceNotFound):
        await offer(group, NAME)


async def test_an_imported_engagement_is_kept_and_told_to_nobody(group: Group, munich: Unit, shanghai: Unit) -> None:
    imported = engagement_summary(NAME, provider="units/munich", state=ticket.CONFIRMED)
    await shanghai.tell((NAME, told.EngagementImported(engagement=imported)))
    await shanghai.caught_up()
    assert (await state(group)).engagement.provider == "units/munich"
    assert await munich.told() == []


async def test_a_policy_reaches_every_unit_and_one_that_it_names_for_the_first_time(
    group: Group, hq_desk: Unit, shanghai: Unit
) -> None:
    munich = await group.unit("units/munich", agent=False)
    await hq_desk.tell(("policies/1", PolicyPublished(policy=small_policy())), service="policy")
    await hq_desk.caught_up()
    munich.start()
    for unit in (munich, shanghai, hq_desk):

        async def heard(unit: Unit = unit) -> bool:
            return await unit.told_types() == ["PolicyPublished"]

        await eventually(heard)


async def test_a_policy_that_another_unit_claims_to_publish_goes_nowhere(
    munich: Unit, hq_desk: Unit, shanghai: Unit
) -> None:
    await shanghai.tell(("policies/9", PolicyPublished(policy=small_policy())), service="policy")
    await shanghai.caught_up()
    assert [await unit.told_types() for unit in (munich, hq_desk, shanghai)] == [[], [], []]


async def test_a_skipped_offer_ends_before_its_time_and_the_next_candidate_is_asked(
    group: Group, requested: str, hq_desk: Unit
) -> None:
    first = await offer(group)
    skipped = (await group.execute(skip_offer, pb.SkipOfferRequest(name=NAME), pb.SkipOfferResponse)).offer
    assert (skipped.number, skipped.state) == (first.number, pb.EXPIRED)
    assert (await offer(group)).number == first.number + 1


async def test_without_a_standing_offer_nothing_can_be_skipped(group: Group, requested: str) -> None:
    with pytest.raises(NothingToSkip):
        await group.execute(skip_offer, pb.SkipOfferRequest(name=NAME), pb.SkipOfferResponse)
