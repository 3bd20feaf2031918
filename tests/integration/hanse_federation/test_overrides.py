"""Headquarters knows what units have tuned for themselves, shows it, and routes by it."""

from __future__ import annotations

from datetime import timedelta

from hanse.policy import load_override_yaml, load_yaml
from hanse_federation.headquarters.routing import offer_engagement
from hanse_federation.headquarters.views import list_units
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import Policy, PolicyAcknowledged
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride, PolicyTuned
from hanse_protos.ticket.v1 import events_pb2 as told
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary
from tests.support import POLICY_YAML

NAME = "units/shanghai/tickets/t1/engagements/e1"
TUNABLE = "tunable: {offer_timeout: {floor: 5m, ceiling: 2h}, capacity: {floor: 1, ceiling: 9}}"


def policy() -> Policy:
    """Return a policy that prefers Munich, and lets units tune."""
    preferring = POLICY_YAML.replace("0 - load", """'provider.unit == "units/munich" ? 1 : 0'""")
    return Policy(name="policies/1", version=1, document=load_yaml(preferring + TUNABLE))


async def tune(unit: Unit, text: str, *, version: int = 1, of: str = "") -> None:
    """Let a unit tell what it has tuned, for itself or, as it claims, for another."""
    owner = of or unit.name
    name = f"{owner}/policyOverrides/{version}"
    override = PolicyOverride(name=name, unit=owner, version=version, document=load_override_yaml(text))
    await unit.tell((name, PolicyTuned(override=override)), service="policy")
    await unit.caught_up()


async def first_offer(group: Group, shanghai: Unit) -> tuple[str, timedelta]:
    """Let Shanghai ask for an engagement; return who is asked, and how long the offer stands."""
    await shanghai.tell((NAME, told.EngagementRequested(engagement=engagement_summary(NAME))))
    await shanghai.caught_up()
    request = pb.OfferEngagementRequest(name=NAME)
    offer = (await group.execute(offer_engagement, request, pb.OfferEngagementResponse)).offer
    return offer.provider, offer.expire_time.ToDatetime() - offer.offer_time.ToDatetime()


async def overrides_shown(group: Group) -> dict[str, PolicyOverride]:
    units = (await group.hq.database.read(list_units, pb.ListUnitsRequest())).units
    return {unit.unit: unit.override for unit in units if unit.HasField("override")}


async def test_the_newest_override_of_each_unit_is_shown_with_what_of_it_is_dropped(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    await group.enact(policy())
    await munich.tell(("policies/1", PolicyAcknowledged(policy=policy())), service="policy")
    await tune(munich, "capacity: 5")
    await tune(munich, "{capacity: 6, offer_timeout: 3h}", version=2)
    shown = await overrides_shown(group)
    assert set(shown) == {munich.name}
    assert (shown[munich.name].version, [each.path for each in shown[munich.name].dropped]) == (2, ["offer_timeout"])


async def test_an_offer_stands_as_long_as_the_home_unit_has_tuned(group: Group, munich: Unit, shanghai: Unit) -> None:
    await group.enact(policy())
    await tune(shanghai, "offer_timeout: 1h")
    await tune(munich, "offer_timeout: 2h")
    assert await first_offer(group, shanghai) == (munich.name, timedelta(hours=1))


async def test_a_unit_tunes_nothing_for_another(group: Group, munich: Unit, shanghai: Unit) -> None:
    await tune(munich, "offer_timeout: 1h", of=shanghai.name)
    assert await overrides_shown(group) == {}
