"""Units are known by certificate, people by token, and everybody else is refused with the reason."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from hanse.errors import (
    CertificateInvalid,
    HanseError,
    ResourceAlreadyExists,
    ResourceNotFound,
    RoleMissing,
    TokenExpired,
    TokenForeign,
    TokenInvalid,
    TokenMissing,
    TokenSignatureInvalid,
    ValidationFailed,
)
from hanse.identity import (
    Caller,
    CertificateAuthority,
    IssuedCertificate,
    Role,
    SigningKeyFiles,
    TokenSigner,
    TokenVerifier,
    create_signing_key,
    peer_certificate,
    read_or_create_secret,
    spiffe_id_for,
    unit_of,
    write_private_file,
)
from hanse.identity.tokens import MAXIMUM_REMEMBERED_TOKENS, MAXIMUM_TOKEN_BYTES

SHANGHAI = "units/shanghai"
HEADQUARTERS = "units/hq"
SHANGHAI_SPIFFE_ID = "spiffe://hanse.local/units/shanghai"
DEADLINE_SECONDS = 10


class SettableClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


# Names


def test_a_unit_has_a_spiffe_id_and_a_spiffe_id_has_a_unit() -> None:
    assert spiffe_id_for(SHANGHAI) == SHANGHAI_SPIFFE_ID
    assert unit_of(SHANGHAI_SPIFFE_ID) == SHANGHAI


@pytest.mark.parametrize("name", ["shanghai", "units/", "units/Shanghai", "units/a/b", "units/-", "units/a\n", ""])
def test_only_a_resource_name_has_a_spiffe_id(name: str) -> None:
    with pytest.raises(ValidationFailed):
        spiffe_id_for(name)


@pytest.mark.parametrize(
    "spiffe_id",
    [
        "",
        SHANGHAI,
        "spiffe://elsewhere.example/units/shanghai",
        "spiffe://hanse.local/units/shanghai/more",
        "spiffe://hanse.local/units/",
        "spiffe://hanse.local/people/shanghai",
        "https://hanse.local/units/shanghai",
        f"x{SHANGHAI_SPIFFE_ID}",
        f"{SHANGHAI_SPIFFE_ID}\n",
    ],
)
def test_any_other_spiffe_id_is_refused(spiffe_id: str) -> None:
    with pytest.raises(CertificateInvalid):
        unit_of(spiffe_id)


# Certificates


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path / "authority")


def certificate_in(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_certificate_carries_one_spiffe_id_and_the_local_names(authority: CertificateAuthority) -> None:
    certificate = certificate_in(authority.issue(SHANGHAI).certificate_path)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [SHANGHAI_SPIFFE_ID]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("127.0.0.1")]


def test_a_certificate_is_signed_by_the_authority_and_may_sign_nothing(authority: CertificateAuthority) -> None:
    issued = authority.issue(SHANGHAI)
    certificate = certificate_in(issued.certificate_path)
    certificate.verify_directly_issued_by(certificate_in(issued.authority_path))
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_certificate_lasts_one_year_and_the_authority_ten(authority: CertificateAuthority) -> None:
    now = datetime.now(UTC)
    issued = authority.issue(SHANGHAI)
    for path, days in [(issued.certificate_path, 365), (issued.authority_path, 3650)]:
        certificate = certificate_in(path)
        assert certificate.not_valid_before_utc < now
        assert abs(certificate.not_valid_after_utc - now - timedelta(days=days)) < timedelta(minutes=1)


def test_keys_are_on_p_256_and_for_their_owner_only(authority: CertificateAuthority) -> None:
    issued = authority.issue(SHANGHAI)
    public_key = certificate_in(issued.certificate_path).public_key()
    assert isinstance(public_key, EllipticCurvePublicKey)
    assert isinstance(public_key.curve, SECP256R1)
    assert mode_of(issued.key_path) == mode_of(authority.folder / "authority.key") == 0o600


def test_a_loaded_authority_goes_on_where_it_left_off(authority: CertificateAuthority) -> None:
    issued = CertificateAuthority.load(authority.folder).issue(SHANGHAI)
    certificate_in(issued.certificate_path).verify_directly_issued_by(certificate_in(authority.certificate_path))


def test_an_authority_is_never_replaced(authority: CertificateAuthority) -> None:
    with pytest.raises(ResourceAlreadyExists):
        CertificateAuthority.create(authority.folder)
    CertificateAuthority.load_or_create(authority.folder).issue(SHANGHAI)


def test_loading_an_authority_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResourceNotFound):
        CertificateAuthority.load(tmp_path)


def test_loading_a_garbled_authority_says_so(authority: CertificateAuthority) -> None:
    authority.certificate_path.write_text("garbled")
    with pytest.raises(CertificateInvalid):
        CertificateAuthority.load(authority.folder)


def test_no_certificate_for_a_name_that_is_not_a_units(authority: CertificateAuthority) -> None:
    with pytest.raises(ValidationFailed):
        authority.issue("../units/shanghai")


async def _say_who_calls(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return peer_certificate(context.auth_context()).unit.encode()


@asynccontextmanager
async def server_of(issued: IssuedCertificate) -> AsyncIterator[str]:
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_say_who_calls)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Who", {"Ami": handler}),))
    credentials = grpc.ssl_server_credentials(
        [(issued.key_path.read_bytes(), issued.certificate_path.read_bytes())],
        issued.authority_path.read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def client_credentials(issued: IssuedCertificate, trusted: Path) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        trusted.read_bytes(), issued.key_path.read_bytes(), issued.certificate_path.read_bytes()
    )


async def ask_who_calls(address: str, issued: IssuedCertificate, trusted: Path) -> bytes:
    async with grpc.aio.secure_channel(address, client_credentials(issued, trusted)) as channel:
        ask: Callable[..., grpc.aio.UnaryUnaryCall[bytes, bytes]] = channel.unary_unary("/test.Who/Ami")
        return await ask(b"", timeout=DEADLINE_SECONDS)


async def test_grpc_sees_the_unit_at_the_other_end(authority: CertificateAuthority) -> None:
    async with server_of(authority.issue(HEADQUARTERS)) as address:
        assert await ask_who_calls(address, authority.issue(SHANGHAI), authority.certificate_path) == SHANGHAI.encode()


async def test_grpc_refuses_a_unit_of_another_authority(authority: CertificateAuthority, tmp_path: Path) -> None:
    stranger = CertificateAuthority.create(tmp_path / "stranger").issue(SHANGHAI)
    async with server_of(authority.issue(HEADQUARTERS)) as address:
        with pytest.raises(grpc.aio.AioRpcError):
            await ask_who_calls(address, stranger, authority.certificate_path)


# Private files


def test_a_secret_stays_the_same_and_private(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "password"
    secret = read_or_create_secret(path)
    assert len(secret) == 64
    assert read_or_create_secret(path) == secret
    assert mode_of(path) == 0o600


def test_replacing_a_private_file_leaves_no_draft_behind(tmp_path: Path) -> None:
    write_private_file(tmp_path / "key", b"old")
    write_private_file(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


# Tokens


@pytest.fixture(scope="module")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> SigningKeyFiles:
    return create_signing_key(tmp_path_factory.mktemp("shanghai"))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def signer(key_files: SigningKeyFiles, clock: SettableClock) -> TokenSigner:
    return TokenSigner(key_files.private_path, SHANGHAI, now=clock)


@pytest.fixture
def verifier(key_files: SigningKeyFiles, clock: SettableClock) -> TokenVerifier:
    return TokenVerifier(key_files.public_path, SHANGHAI, now=clock)


def test_a_token_names_its_holder(signer: TokenSigner, verifier: TokenVerifier, clock: SettableClock) -> None:
    token = signer.mint("people/mei", [Role.AGENT, Role.LEAD], timedelta(hours=1))
    assert verifier.verify(token) == Caller(
        "people/mei", SHANGHAI, frozenset({Role.AGENT, Role.LEAD}), clock.time + timedelta(hours=1)
    )


def test_a_token_expires_also_when_it_is_remembered(
    signer: TokenSigner, verifier: TokenVerifier, clock: SettableClock
) -> None:
    token = signer.mint("people/mei", [Role.AGENT], timedelta(hours=1))
    verifier.verify(token)
    clock.time += timedelta(hours=1)
    with pytest.raises(TokenExpired):
        verifier.verify(token)


def test_an_expired_token_is_refused_at_first_sight(
    signer: TokenSigner, verifier: TokenVerifier, clock: SettableClock
) -> None:
    token = signer.mint("people/mei", [Role.AGENT], timedelta(seconds=1))
    clock.time += timedelta(seconds=1)
    with pytest.raises(TokenExpired):
        verifier.verify(token)


@pytest.mark.parametrize("token", ["", None])
def test_no_token_is_told_from_a_bad_one(verifier: TokenVerifier, token: str | None) -> None:
    with pytest.raises(TokenMissing):
        verifier.verify(token)


@pytest.mark.parametrize("token", ["garbled", "a.b.c", "é.é.é", "....", "\ud800", "a" * (MAXIMUM_TOKEN_BYTES + 1)])
def test_a_garbled_token_is_refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(TokenInvalid):
        verifier.verify(token)


def test_a_token_of_another_unit_is_foreign(verifier: TokenVerifier, clock: SettableClock, tmp_path: Path) -> None:
    foreign = TokenSigner(create_signing_key(tmp_path).private_path, HEADQUARTERS, now=clock)
    with pytest.raises(TokenForeign) as refused:
        verifier.verify(foreign.mint("people/max", [Role.AGENT], timedelta(hours=1)))
    assert refused.value.metadata == {"issuer": HEADQUARTERS}


def test_a_token_of_our_name_and_another_key_is_forged(
    verifier: TokenVerifier, clock: SettableClock, tmp_path: Path
) -> None:
    forger = TokenSigner(create_signing_key(tmp_path).private_path, SHANGHAI, now=clock)
    with pytest.raises(TokenSignatureInvalid):
        verifier.verify(forger.mint("people/mei", [Role.OPERATIONS], timedelta(hours=1)))


def test_a_changed_claim_breaks_the_signature(signer: TokenSigner, verifier: TokenVerifier) -> None:
    header, payload, signature = signer.mint("people/mei", [Role.AGENT], timedelta(hours=1)).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["roles"] = ["OPERATIONS"]
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    with pytest.raises(TokenSignatureInvalid):
        verifier.verify(f"{header}.{forged}.{signature}")


GOOD_CLAIMS = {"iss": SHANGHAI, "aud": SHANGHAI, "sub": "people/mei", "roles": ["AGENT"], "exp": 4_000_000_000}


def test_the_public_key_is_no_secret_to_sign_with(key_files: SigningKeyFiles, verifier: TokenVerifier) -> None:
    """The classic confusion: a verifier that lets the token choose HS256 would take its public key as the secret."""
    public_key = OctKey.import_key(base64.b64encode(key_files.public_path.read_bytes()))
    with pytest.raises(TokenInvalid):
        verifier.verify(jwt.encode({"alg": "HS256"}, GOOD_CLAIMS, public_key))


def test_a_token_without_a_signature_is_refused(verifier: TokenVerifier) -> None:
    header, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, GOOD_CLAIMS)
    )
    with pytest.raises(TokenInvalid):
        verifier.verify(f"{header}.{payload}.")


@pytest.mark.parametrize(
    "bent",
    [
        {"sub": ""},
        {"sub": None},
        {"roles": "AGENT"},
        {"roles": ["EMPEROR"]},
        {"exp": "4000000000"},
        {"exp": 10**20},
        {"exp": None},
        {"aud": [SHANGHAI]},
        {"iss": 1},
    ],
)
def test_bent_claims_are_refused_even_when_signed(
    key_files: SigningKeyFiles, verifier: TokenVerifier, bent: dict[str, object]
) -> None:
    key = ECKey.import_key(key_files.private_path.read_bytes())
    with pytest.raises(TokenInvalid):
        verifier.verify(jwt.encode({"alg": "ES256"}, {**GOOD_CLAIMS, **bent}, key))


def test_a_token_for_somebody_elses_ears_is_foreign(key_files: SigningKeyFiles, verifier: TokenVerifier) -> None:
    key = ECKey.import_key(key_files.private_path.read_bytes())
    with pytest.raises(TokenForeign):
        verifier.verify(jwt.encode({"alg": "ES256"}, {**GOOD_CLAIMS, "aud": HEADQUARTERS}, key))


def test_a_good_token_is_checked_once(
    signer: TokenSigner, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signer.mint("people/mei", [Role.AGENT], timedelta(hours=1))
    first = verifier.verify(token)
    monkeypatch.setattr(verifier, "_check", lambda _: pytest.fail("checked again"))
    assert verifier.verify(token) is first


def test_the_memory_for_tokens_is_bounded(
    verifier: TokenVerifier, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller("people/mei", SHANGHAI, frozenset(), clock.time + timedelta(hours=1))
    monkeypatch.setattr(verifier, "_check", lambda _: caller)
    for number in range(MAXIMUM_REMEMBERED_TOKENS + 1):
        verifier.verify(str(number))
    assert len(verifier._remembered) == MAXIMUM_REMEMBERED_TOKENS


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


JSON_PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD_CLAIMS, "alg", "crit", "b64"]), inner)
    ),
    max_leaves=6,
).map(lambda value: _part(json.dumps(value).encode()))
PARTS = JSON_PARTS | st.binary(max_size=20).map(_part) | st.text(max_size=8)


@given(parts=st.lists(PARTS, max_size=5))
def test_no_input_is_answered_with_anything_but_a_typed_error(key_files: SigningKeyFiles, parts: list[str]) -> None:
    with pytest.raises(HanseError):
        TokenVerifier(key_files.public_path, SHANGHAI).verify(".".join(parts))


# Roles


def test_a_caller_needs_one_of_the_roles() -> None:
    caller = Caller("people/mei", SHANGHAI, frozenset({Role.AGENT}), datetime.now(UTC))
    caller.require(Role.LEAD, Role.AGENT)
    with pytest.raises(RoleMissing) as refused:
        caller.require(Role.LEAD, Role.OPERATIONS)
    assert refused.value.metadata == {"roles": "LEAD,OPERATIONS"}
