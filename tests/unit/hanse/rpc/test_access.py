"""The table of who may call what covers the contracts, all of them and nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import hanse_protos
from hanse.identity import Role
from hanse.rpc.access import BY_CERTIFICATE, ROLES_BY_RPC, Otherwise


def rpcs_of_the_contracts() -> Iterator[str]:
    [root] = hanse_protos.__path__
    for path in Path(root).rglob("*_pb2.py"):
        module = importlib.import_module(".".join(path.relative_to(Path(root).parent).with_suffix("").parts))
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from (f"/{service.full_name}/{rpc.name}" for rpc in service.methods)


def test_every_rpc_has_a_row() -> None:
    assert set(rpcs_of_the_contracts()) - set(ROLES_BY_RPC) == set()


def test_every_row_has_an_rpc() -> None:
    assert set(ROLES_BY_RPC) - set(rpcs_of_the_contracts()) == set()


def test_there_are_contracts() -> None:
    assert len(set(rpcs_of_the_contracts())) > 50


def test_what_goes_between_units_goes_by_certificate() -> None:
    by_certificate = [rpc for rpc, roles in ROLES_BY_RPC.items() if roles is BY_CERTIFICATE]
    assert by_certificate == [
        "/hanse_protos.federation.v1.FederationService/Exchange",
        "/hanse_protos.federation.v1.FederationService/CompareStream",
        "/hanse_protos.federation.v1.FederationService/FetchRecords",
        "/hanse_protos.federation.v1.PeerService/GetPeerHead",
        "/hanse_protos.federation.v1.PeerService/DeliverPeerRecords",
        "/hanse_protos.federation.v1.PeerService/ComparePeerStream",
        "/hanse_protos.federation.v1.PeerService/ExchangeRevocations",
        "/hanse_protos.federation.v1.EnrolmentService/RenewCertificate",
        "/hanse_protos.federation.v1.EnrolmentService/LeaveGroup",
    ]


def test_without_token_and_certificate_nothing_is_open_but_enrolling() -> None:
    others = {rpc: roles for rpc, roles in ROLES_BY_RPC.items() if roles in (Otherwise.ANYBODY, Otherwise.INVITATION)}
    assert others == {
        "/hanse_protos.federation.v1.EnrolmentService/GetAuthority": Otherwise.ANYBODY,
        "/hanse_protos.federation.v1.EnrolmentService/EnrolUnit": Otherwise.INVITATION,
    }


def test_a_row_for_nobody_is_not_one_for_everybody() -> None:
    nobody: object = frozenset({Role.AGENT}) & frozenset({Role.LEAD})
    assert nobody is not BY_CERTIFICATE


def test_partners_call_nothing_but_the_gateway() -> None:
    services = {
        rpc.split("/")[1]
        for rpc, roles in ROLES_BY_RPC.items()
        if isinstance(roles, frozenset) and Role.PARTNER in roles
    }
    assert services == {"hanse_protos.gateway.v1.PartnerService"}
