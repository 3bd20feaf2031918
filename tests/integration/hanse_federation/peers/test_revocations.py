"""Void certificates among peers: without headquarters, from whoever has heard of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hanse.clock import utc_now
from hanse.identity import CertificateAuthority, is_revoked, read_certificate
from hanse.rpc.client import RemoteError, remote_errors
from hanse.runtime import Runtime
from hanse_federation.link.dialling import peer_channel
from hanse_federation.link.showing import list_links
from hanse_federation.membership.revocations import keep_list, newest_list
from hanse_federation.peers.line import PeerLine
from hanse_protos.federation.v1.peer_pb2 import ExchangeRevocationsRequest, GetPeerHeadRequest
from hanse_protos.federation.v1.peer_pb2_grpc import PeerServiceStub
from tests.integration.hanse_federation.group import eventually
from tests.integration.hanse_federation.peers.pair import MUNICH, running


def serial_of(runtime: Runtime) -> str:
    return read_certificate(runtime.settings.tls.certificate.read_bytes()).serial


async def bring(shanghai: Runtime, content: bytes) -> None:
    """Bring Munich a list, and ask it for something."""
    channel, _ = await peer_channel(shanghai.settings, MUNICH, timeout_seconds=30)
    async with channel:
        stub: Any = PeerServiceStub(channel)
        with remote_errors():
            await stub.ExchangeRevocations(ExchangeRevocationsRequest(revocation_list=content), timeout=30)
            await stub.GetPeerHead(GetPeerHeadRequest(), timeout=30)


async def test_a_peer_whose_certificate_is_void_is_refused_from_the_next_call_on(
    munich: Runtime, shanghai: Runtime, authority: CertificateAuthority
) -> None:
    with pytest.raises(RemoteError) as refused:
        await bring(shanghai, authority.revocation_list([serial_of(shanghai)], utc_now()))
    assert refused.value.reason == "CERTIFICATE_REVOKED"


async def test_a_list_that_the_authority_has_not_signed_is_refused_and_not_kept(
    munich: Runtime, shanghai: Runtime, tmp_path: Path
) -> None:
    forged = CertificateAuthority.create(tmp_path / "another").revocation_list([serial_of(shanghai)], utc_now())
    with pytest.raises(RemoteError) as refused:
        await bring(shanghai, forged)
    assert refused.value.reason == "REVOCATION_LIST_INVALID"
    assert await munich.database.read(newest_list) == b""


async def test_a_line_passes_on_the_newest_list_that_either_end_has(
    munich: Runtime, shanghai: Runtime, authority: CertificateAuthority
) -> None:
    await munich.database.write(keep_list, 1, authority.revocation_list(["2a"], utc_now()))
    newer = authority.revocation_list(["1f"], utc_now())
    await shanghai.database.write(keep_list, 2, newer)
    async with running(PeerLine(shanghai, MUNICH, probe_seconds=0.1, call_seconds=30.0, retry_seconds=0.1)):

        async def passed_on() -> bool:
            return await munich.database.read(newest_list) == newer

        await eventually(passed_on)
    assert is_revoked(await munich.database.read(newest_list), "1f")


async def test_a_line_to_a_peer_whose_certificate_is_void_ends_and_says_why(
    munich: Runtime, shanghai: Runtime, authority: CertificateAuthority
) -> None:
    async with running(PeerLine(shanghai, MUNICH, probe_seconds=0.1, call_seconds=30.0, retry_seconds=0.1)) as line:

        async def up() -> bool:
            return line.reachable

        async def refused() -> bool:
            [link] = (await shanghai.database.read(list_links, shanghai.unit)).links
            return not line.reachable and link.last_error.startswith("CERTIFICATE_REVOKED")

        await eventually(up)
        void = authority.revocation_list([serial_of(munich)], utc_now())
        await shanghai.database.write(keep_list, 1, void)
        await eventually(refused)
