"""The settings of one unit: the one place that knows them, and where they come from.

Settings come from the environment (`HANSE_DATABASE_URL=…`), and below it from the TOML file that `HANSE_SETTINGS`
names. The embedded default writes such a file for each unit; production sets the environment of each Deployment.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from hanse.names import HEADQUARTERS
from hanse.rpc.tls import TlsFiles

SETTINGS_FILE_VARIABLE = "HANSE_SETTINGS"


class Mode(StrEnum):
    """How a unit stands to headquarters.

    The fourth mode of a group, a cluster, is of several units at once: `desks` in the group's policy configures it.
    """

    INDEPENDENT = "independent"
    """It has no link, and publishes its policy for itself."""
    SUBORDINATE = "subordinate"
    """Headquarters publishes its policy and routes its engagements."""
    PEER = "peer"
    """As subordinate; and while headquarters is out of reach, it exchanges engagements with its peers directly."""


UnitName = Annotated[str, Field(pattern=r"^units/[a-z][a-z0-9-]{0,38}$")]


class Settings(BaseSettings):
    """Where a unit's parts find each other."""

    model_config = SettingsConfigDict(env_prefix="HANSE_", extra="forbid")

    unit: UnitName
    """The unit's resource name, "units/shanghai"."""
    mode: Mode = Mode.SUBORDINATE
    """How the unit stands to headquarters: `independent` (no link), `subordinate`, or `peer` (direct lines besides)."""
    folder: Path
    """Where the unit's certificate and keys are: unit.crt, unit.key, authority.crt, token.key, token.pub."""
    database_url: str
    """The unit's own database, `postgresql://…`; encrypted with `?sslmode=verify-full&sslrootcert=/path` at its end."""
    broker_url: str
    """The unit's own broker: `amqp://…`, or `redis://…` on the embedded default."""
    temporal_address: str
    """The Temporal frontend, host:port."""
    temporal_namespace: str
    """The unit's namespace in Temporal."""
    temporal_tls: bool = False
    """Whether the connection to Temporal is encrypted. In the clear it belongs on a network that you trust."""
    temporal_authority: Path | None = None
    """The authority that has signed Temporal's certificate, PEM; the machine's own authorities where unset."""
    temporal_certificate: Path | None = None
    """The certificate that Temporal knows this unit by, PEM, where it asks for one."""
    temporal_key: Path | None = None
    """The key of that certificate, PEM."""
    temporal_api_key: SecretStr | None = None
    """The API key that Temporal knows this unit by, where it asks for one."""
    serve_address: str
    """Where the unit's services are served, host:port; its workers, its gateway and the command line call it."""
    gateway_address: str
    """Where the partner gateway is served, host:port."""
    hub_address: str = ""
    """Where headquarters takes the units' links, host:port, as this unit reaches it. An independent unit has none."""
    hub_listen_address: str = ""
    """Where the hub listens. Headquarters only."""
    authority_folder: Path | None = None
    """Where the group's authority is, authority.key and authority.crt, that signs the units' certificates. Headquarters
    only; off where the group has a PKI of its own."""
    certificate_lifetime_hours: float = Field(default=90 * 24, gt=0)
    """For how many hours a unit's certificate is good that headquarters signs. It is renewed when a third is left, so a
    unit may be offline for that long. Headquarters only."""
    invitation_lifetime_hours: float = Field(default=72, gt=0)
    """For how many hours an invitation stands. Headquarters only."""
    enrolment_address: str = ""
    """Where invited units reach headquarters' services, host:port; empty for `serve_address`. Headquarters only."""
    renew_certificate: bool = True
    """Whether the agent renews the unit's certificate at headquarters: `false` where the group's own PKI does."""
    peer_listen_address: str = ""
    """Where this unit listens to its peers, host:port. In the mode `peer` only."""
    peers: dict[UnitName, str] = {}
    """Where each peer listens, host:port, by its resource name. In the mode `peer` only; the policy says who is one."""
    request_retention_hours: int = Field(default=48, ge=24)
    """For how many hours a repeated request gets its first answer, 24 at least (AIP-155); then it is deleted."""
    founding_units: list[str] = []
    """The units that the hub admits when it starts, unless it knows them: those with which the group begins.
    Headquarters only."""
    otlp_endpoint: str | None = None
    """Where traces and metrics go over gRPC, `http://collector:4317`. Off where unset."""
    otlp_http_endpoint: str | None = Field(default=None, pattern="^https?://")
    """Where the traces and metrics of the reactions go over HTTP, `http://collector:4318`: their process has no gRPC.
    Off where unset."""
    log_level: str = "info"
    """What is logged at least: `debug`, `info`, `warning` or `error`."""

    @model_validator(mode="after")
    def _check_temporal(self) -> Self:
        """Refuse secrets that would go over a line in the clear, and half a certificate."""
        files = (self.temporal_authority, self.temporal_certificate, self.temporal_key)
        if not self.temporal_tls and (any(files) or self.temporal_api_key):
            raise ValueError(
                "temporal_authority, temporal_certificate, temporal_key, temporal_api_key: set temporal_tls"
            )
        if (self.temporal_certificate is None) != (self.temporal_key is None):
            raise ValueError("temporal_certificate and temporal_key go together")
        return self

    @model_validator(mode="after")
    def _mode_and_addresses_agree(self) -> Self:
        """Refuse settings that contradict the mode, rather than let one of the two win in silence."""
        if self.mode is Mode.INDEPENDENT:
            if self.is_headquarters:
                raise ValueError("headquarters takes the group's links, so its mode can't be independent")
            if self.hub_address:
                raise ValueError("an independent unit has no link: remove hub_address, or choose another mode")
        elif not self.hub_address:
            raise ValueError(f"a unit in the mode {self.mode} dials headquarters: set hub_address")
        return self

    @model_validator(mode="after")
    def _mode_and_peers_agree(self) -> Self:
        """Refuse half of what a peer needs, and peers in a unit that is none."""
        if self.mode is not Mode.PEER:
            if self.peers or self.peer_listen_address:
                raise ValueError("peers and peer_listen_address: set the mode to peer, or remove them")
            return self
        if self.is_headquarters:
            raise ValueError("peers do without headquarters, so its mode can't be peer")
        if not (self.peers and self.peer_listen_address):
            raise ValueError("a peer listens and dials: set peer_listen_address and peers")
        if {self.unit, HEADQUARTERS} & self.peers.keys():
            raise ValueError("peers: neither the unit itself nor headquarters is a peer of the unit")
        return self

    @property
    def is_headquarters(self) -> bool:
        """Whether this unit is headquarters, which runs the hub besides its own desk."""
        return self.unit == HEADQUARTERS

    @property
    def tls(self) -> TlsFiles:
        """The files of the unit's certificate."""
        return tls_files(self.folder)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments first, then the environment, then the file."""
        file = os.environ.get(SETTINGS_FILE_VARIABLE)
        sources = (init_settings, env_settings)
        return (*sources, TomlConfigSettingsSource(settings_cls, Path(file))) if file else sources


def tls_files(folder: Path) -> TlsFiles:
    """Return where a unit's certificate is in its folder."""
    return TlsFiles(folder / "unit.crt", folder / "unit.key", folder / "authority.crt")


def load_settings() -> Settings:
    """Return this process's settings. Raises pydantic's ValidationError, which names what is missing."""
    return Settings()  # type: ignore[call-arg]  # The environment and the file fill it.
