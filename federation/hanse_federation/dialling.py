"""Dialling headquarters, with the unit's certificate: the agent does, and whoever recovers a stream."""

import grpc

from hanse.config import Settings
from hanse.rpc.client import CHANNEL_OPTIONS

HUB_CHANNEL_OPTIONS = [
    *CHANNEL_OPTIONS,
    # Every attempt dials anew: a shared connection would bring its own back-off along.
    ("grpc.use_local_subchannel_pool", 1),
]


def hub_channel(settings: Settings) -> grpc.aio.Channel:
    """Return a channel to the hub at headquarters."""
    tls = settings.tls
    credentials = grpc.ssl_channel_credentials(
        tls.authority.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes()
    )
    return grpc.aio.secure_channel(settings.hub_address, credentials, HUB_CHANNEL_OPTIONS)
