"""Connecting to Temporal, as the settings of a unit say: in the clear to a development server, or with TLS."""

from typing import Any

from temporalio.client import Client
from temporalio.service import TLSConfig

from hanse.config import Settings


async def connect(settings: Settings, **options: Any) -> Client:
    """Return a client in the unit's namespace; `options` are further ones of `Client.connect`.

    Raises RuntimeError where nobody answers or the certificates are not accepted, OSError where their files can't be
    read, RPCError where Temporal refuses.
    """
    api_key = settings.temporal_api_key
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        tls=tls_of(settings) or False,
        api_key=api_key.get_secret_value() if api_key else None,
        **options,
    )


def tls_of(settings: Settings) -> TLSConfig | None:
    """Return how the connection is encrypted, or None where it is in the clear. Raises OSError."""
    if not settings.temporal_tls:
        return None
    authority, certificate, key = (
        path.read_bytes() if path else None
        for path in (settings.temporal_authority, settings.temporal_certificate, settings.temporal_key)
    )
    return TLSConfig(server_root_ca_cert=authority, client_cert=certificate, client_private_key=key)
