"""Settings that contradict each other are refused with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hanse.cli.roles import Role, roles_of
from hanse.config import Mode, Settings

HUB = "127.0.0.1:7000"
PEER: dict[str, object] = {"mode": "peer", "peer_listen_address": "127.0.0.1:0", "peers": {"units/munich": HUB}}


def settings(**changes: object) -> Settings:
    values: dict[str, object] = {
        "unit": "units/oslo",
        "folder": Path(),
        "database_url": "postgresql://localhost/oslo",
        "broker_url": "redis://localhost/0",
        "temporal_address": "localhost:7233",
        "temporal_namespace": "hanse-oslo",
        "serve_address": "127.0.0.1:0",
        "gateway_address": "127.0.0.1:0",
    }
    return Settings.model_validate(values | changes)


def test_a_unit_is_subordinate_unless_it_says_otherwise() -> None:
    assert settings(hub_address=HUB).mode is Mode.SUBORDINATE


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, "set hub_address"),
        ({"mode": "independent", "hub_address": HUB}, "remove hub_address"),
        ({"mode": "independent", "unit": "units/hq"}, "headquarters takes the group's links"),
        ({"hub_address": HUB, "peers": {"units/munich": HUB}}, "set the mode to peer"),
        ({"hub_address": HUB, "mode": "peer"}, "set peer_listen_address and peers"),
        ({"hub_address": HUB, **PEER, "peers": {"units/oslo": HUB}}, "neither the unit itself nor headquarters"),
        ({"hub_address": HUB, **PEER, "peers": {"munich": HUB}}, "units/"),
        ({"hub_address": HUB, **PEER, "unit": "units/hq"}, "can't be peer"),
        ({"mode": "sovereign", "hub_address": HUB}, "'independent'"),
    ],
)
def test_a_mode_and_its_addresses_agree(changes: dict[str, object], advice: str) -> None:
    with pytest.raises(ValidationError, match=advice):
        settings(**changes)


def test_a_peer_listens_and_dials() -> None:
    assert settings(hub_address=HUB, **PEER).peers == {"units/munich": HUB}


def test_only_an_independent_unit_has_no_link_to_run() -> None:
    assert Role.FEDERATE not in roles_of(settings(mode="independent"))
    assert Role.FEDERATE in roles_of(settings(hub_address=HUB))
