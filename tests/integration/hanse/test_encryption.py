"""The lines to PostgreSQL and Temporal are encrypted where the settings say so, and only to the right servers."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.config import Settings
from hanse.database import Database
from hanse.identity import CertificateAuthority
from hanse.local.ports import LOOPBACK
from hanse.local.postgres import EmbeddedPostgres
from hanse.local.temporal import EmbeddedTemporal
from hanse.rpc.tls import TlsFiles
from hanse.temporal import connect
from tests.integration.hanse.tls_front import TlsFront
from tests.support import MakeRuntime, MakeUnitFolder

UNIT = "units/shanghai"
NAMESPACE = "default"


@pytest.fixture
def tls(unit_folder: MakeUnitFolder) -> TlsFiles:
    folder = unit_folder(UNIT)
    return TlsFiles(folder / "unit.crt", folder / "unit.key", folder / "authority.crt")


def one(session: Session) -> int:
    return session.scalars(text("SELECT 1")).one()


def through(port: int, postgres: EmbeddedPostgres, **options: object) -> Database:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return Database(f"{postgres.url().replace(str(postgres.port), str(port))}?{query}".replace(LOOPBACK, "localhost"))


async def test_the_database_is_reached_over_an_encrypted_line(postgres: EmbeddedPostgres, tls: TlsFiles) -> None:
    front = TlsFront(tls, (LOOPBACK, postgres.port), postgres=True)
    async with front.serving() as port:
        database = through(port, postgres, sslmode="verify-full", sslrootcert=tls.authority)
        assert await database.read(one) == 1
        await database.close()
    assert front.encrypted == 1


async def test_a_database_that_another_authority_vouches_for_is_refused(
    postgres: EmbeddedPostgres, tls: TlsFiles, tmp_path: Path
) -> None:
    stranger = CertificateAuthority.create(tmp_path)
    async with TlsFront(tls, (LOOPBACK, postgres.port), postgres=True).serving() as port:
        database = through(port, postgres, sslmode="verify-full", sslrootcert=stranger.folder / "authority.crt")
        with pytest.raises(ssl.SSLCertVerificationError):
            await database.read(one)
        await database.close()


async def test_temporal_is_reached_over_an_encrypted_line(
    tmp_path: Path, tls: TlsFiles, make_runtime: MakeRuntime
) -> None:
    async with EmbeddedTemporal(tmp_path) as temporal:
        front = TlsFront(tls, (LOOPBACK, temporal.port))
        async with front.serving() as port:
            settings = make_runtime(
                UNIT,
                temporal_address=f"localhost:{port}",
                temporal_namespace=NAMESPACE,
                temporal_tls=True,
                temporal_authority=tls.authority,
                temporal_certificate=tls.certificate,
                temporal_key=tls.key,
            ).settings
            client = await connect(settings)
            assert await client.count_workflows()
    assert front.encrypted == 1


async def test_a_temporal_that_another_authority_vouches_for_is_refused(
    tmp_path: Path, tls: TlsFiles, make_runtime: MakeRuntime
) -> None:
    stranger = CertificateAuthority.create(tmp_path)
    async with TlsFront(tls, (LOOPBACK, 1)).serving() as port:
        settings = make_runtime(
            UNIT,
            temporal_address=f"localhost:{port}",
            temporal_tls=True,
            temporal_authority=stranger.folder / "authority.crt",
        ).settings
        with pytest.raises(RuntimeError):
            await connect(settings)


REFUSED = {
    "a key that would go in the clear": {"temporal_api_key": "secret"},
    "an authority without TLS": {"temporal_authority": "authority.crt"},
    "a certificate without its key": {"temporal_tls": True, "temporal_certificate": "unit.crt"},
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_contradict_themselves_are_refused(make_runtime: MakeRuntime, wrong: dict[str, object]) -> None:
    settings = make_runtime(UNIT).settings.model_dump()
    with pytest.raises(ValidationError, match="temporal_"):
        Settings.model_validate(settings | wrong)
