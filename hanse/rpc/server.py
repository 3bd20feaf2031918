"""Building servers: TLS, the gates, health, reflection, keepalive."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from hanse.errors import HanseError, TokenMissing
from hanse.identity import Caller, TokenVerifier
from hanse.identity.unit_files import read_identity
from hanse.rpc.interceptor import BEARER, Authenticator, Gates, Metadata
from hanse.rpc.tls import TlsFiles

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The largest message taken: an import batch of 500 tickets fits; more is refused with RESOURCE_EXHAUSTED."""

KEEPALIVE_OPTIONS = [
    # Without these a black-holed connection never fails; both sides must allow the other's pings.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
SERVER_OPTIONS = [
    *KEEPALIVE_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
]

logger = structlog.get_logger(__name__)

DRAIN_SECONDS = 5.0
"""How long calls may finish when a server stops."""


def by_token(verifier: TokenVerifier) -> Authenticator:
    """Return an authenticator that takes a bearer token from the metadata."""

    async def authenticate(metadata: Metadata) -> Caller:
        value = metadata.get("authorization", "")
        if not value.startswith(BEARER):
            raise TokenMissing
        return verifier.verify(value.removeprefix(BEARER))

    return authenticate


@dataclass(frozen=True, slots=True)
class Served:
    """A servicer, with what puts it onto a server."""

    full_name: str
    """The service's full protobuf name."""
    add: Callable[[Any, grpc.aio.Server], None]
    """The generated `add_…Servicer_to_server`."""
    servicer: object


class _Certificates:
    """The unit's certificate as its files have it at each new connection: one that was renewed needs no restart."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp: object = None

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Return the certificate for the connections that follow. Raises CertificateInvalid."""
        self._stamp = self._read_stamp()
        identity = read_identity(self._files)
        return grpc.ssl_server_certificate_configuration([(identity.key, identity.certificate)], identity.authority)

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the certificate if its files have changed; gRPC asks in a thread of its own, and may not be failed."""
        try:
            return self.read() if self._read_stamp() != self._stamp else None
        except (OSError, HanseError) as error:
            logger.warning("the unit's new certificate can't be used; the one before stays", problem=str(error))
            return None

    def _read_stamp(self) -> object:
        status = [path.stat() for path in (self._files.certificate, self._files.authority)]
        return [(each.st_mtime_ns, each.st_ino, each.st_size) for each in status]


class RpcServer:
    """A gRPC server on one address."""

    def __init__(
        self,
        address: str,
        tls: TlsFiles,
        authenticate: Authenticator,
        services: Iterable[Served],
        *,
        require_client_certificate: bool = False,
    ) -> None:
        self.address = address
        self._server = grpc.aio.server(interceptors=[Gates(authenticate)], options=SERVER_OPTIONS)
        self._health = HealthServicer()
        self._names = []
        for service in services:
            service.add(service.servicer, self._server)
            self._names.append(service.full_name)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*self._names, reflection.SERVICE_NAME], self._server)
        certificates = _Certificates(tls)
        credentials = grpc.dynamic_ssl_server_credentials(
            certificates.read(),
            certificates.renewed,  # type: ignore[arg-type]  # None means: as before.
            require_client_authentication=require_client_certificate,
        )
        self.port = self._server.add_secure_port(address, credentials)

    async def start(self) -> None:
        """Start serving, and say so in the health service."""
        await self._server.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Say that the server goes, let calls finish, and stop."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.stop(DRAIN_SECONDS)

    async def _set_health(self, status: int) -> None:
        for name in ["", *self._names]:
            await self._health.set(name, status)
