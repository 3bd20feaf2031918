"""Dialling headquarters, or a peer: who answers is known before anything is said.

gRPC's own check, of authority and host name, would let any unit of the group pass for headquarters under the right
name. So a first connection, which carries no call, looks at the certificate at the other end: it has to be in its time,
signed by the group's authority, under the name that was dialled, and of exactly one unit, `units/hq`. The connection
for the call then accepts that one certificate and no other, so that nobody can step in between.

The first connection also tells what gRPC leaves unsaid: that our own certificate was not taken.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.clock import utc_now
from hanse.config import Settings
from hanse.errors import (
    CertificateExpired,
    CertificateInvalid,
    CertificateRefused,
    HubForeign,
    PeerForeign,
    UnitUnreachable,
)
from hanse.identity import UnitCertificate, read_certificate
from hanse.identity.unit_files import UnitIdentity, read_identity
from hanse.names import HEADQUARTERS
from hanse.rpc.client import CHANNEL_OPTIONS

DIAL_SECONDS = 5.0
"""For the first connection, where the caller names no other time."""
CONNECT_SECONDS = 1.0
"""What a first connection may take beside its handshake."""
FRAME_HEADER_BYTES = 9
"""The head of the first HTTP/2 frame, which a server sends once it has taken the client's certificate."""
DIAL_OPTIONS = [
    *CHANNEL_OPTIONS,
    # Every attempt dials anew: a shared connection would bring its own back-off along.
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a first connection found at the other end."""

    certificate: bytes
    """The server's certificate, PEM."""
    taken: bool
    """Whether the server went on after the handshake: it does not where it refuses the client's certificate."""


async def hub_channel(settings: Settings, *, timeout_seconds: float = DIAL_SECONDS) -> grpc.aio.Channel:
    """Return a channel to headquarters' hub, which has shown that it is headquarters, with the unit's certificate.

    Raises CertificateInvalid, CertificateExpired, CertificateRefused for the unit's own; HubForeign; UnitUnreachable.
    """
    return await _dial(settings, settings.hub_address, check_headquarters, timeout_seconds)


async def peer_channel(
    settings: Settings, peer: str, *, timeout_seconds: float = DIAL_SECONDS
) -> tuple[grpc.aio.Channel, UnitCertificate]:
    """Return a channel to a peer, and the certificate with which it has shown that it is that unit.

    Raises as `hub_channel`, and PeerForeign.
    """
    shown: list[UnitCertificate] = []

    def check(content: bytes) -> None:
        certificate = read_certificate(content)
        if certificate.unit != peer:
            raise PeerForeign(
                f"What answers at the address of {peer} is {certificate.unit}.", certificate=certificate.unit
            )
        shown.append(certificate)

    channel = await _dial(settings, settings.peers[peer], check, timeout_seconds)
    return channel, shown[0]


async def _dial(
    settings: Settings, address: str, check: Callable[[bytes], None], timeout_seconds: float
) -> grpc.aio.Channel:
    identity = read_identity(settings.tls)
    check_own(settings, identity)
    context = ssl.create_default_context(cadata=identity.authority.decode("ascii", errors="replace"))
    context.load_cert_chain(settings.tls.certificate, identity.key_path)
    answer = await look_at(address, context, timeout_seconds)
    check(answer.certificate)
    if not answer.taken:
        raise CertificateRefused
    return pinned_channel(address, answer.certificate, identity)


def check_own(settings: Settings, identity: UnitIdentity) -> None:
    """Check the unit's own certificate, before anybody else has to refuse it."""
    certificate = read_certificate(identity.certificate)
    if certificate.unit != settings.unit:
        raise CertificateInvalid(f"The certificate of {settings.unit} names {certificate.unit}.")
    if certificate.expire_time <= utc_now():
        raise CertificateExpired(unit=certificate.unit, expire_time=certificate.expire_time.isoformat())


def check_headquarters(certificate: bytes) -> None:
    """Raise HubForeign unless a certificate is of headquarters and nobody else."""
    try:
        unit = read_certificate(certificate).unit
    except CertificateInvalid as error:
        raise HubForeign(f"What answers at the address of headquarters shows no unit's certificate: {error}") from error
    if unit != HEADQUARTERS:
        raise HubForeign(f"What answers at the address of headquarters is {unit}.", certificate=unit)


def any_certificate() -> ssl.SSLContext:
    """Return a context that looks at a certificate without trusting it; nothing is said over such a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def look_at(address: str, context: ssl.SSLContext, timeout_seconds: float) -> Answer:
    """Connect, and return who answers. Raises HubForeign where the context doesn't trust it; UnitUnreachable."""
    host, _, port = address.rpartition(":")
    context.set_alpn_protocols(["h2"])
    try:
        # The handshake has a timeout of its own: cut off from outside, uvloop would report a future that nobody awaits.
        async with asyncio.timeout(timeout_seconds + CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=context, ssl_handshake_timeout=timeout_seconds
            )
            try:
                found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                taken = await _goes_on(reader)
            finally:
                writer.transport.abort()
    except ssl.SSLCertVerificationError as error:
        raise HubForeign(f"The certificate at {address} is not good: {error.verify_message}.") from error
    except (OSError, TimeoutError) as error:
        problem = str(error) or "it closed the connection or was silent"
        raise UnitUnreachable(f"nobody answers at {address}: {problem}") from error
    return Answer(x509.load_der_x509_certificate(found).public_bytes(Encoding.PEM), taken)


async def _goes_on(reader: asyncio.StreamReader) -> bool:
    try:
        await reader.readexactly(FRAME_HEADER_BYTES)
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        return False
    return True


def pinned_channel(address: str, certificate: bytes, identity: UnitIdentity | None = None) -> grpc.aio.Channel:
    """Return a channel that accepts this one certificate at the other end."""
    pair = (identity.key, identity.certificate) if identity else (None, None)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(certificate, *pair), DIAL_OPTIONS)
