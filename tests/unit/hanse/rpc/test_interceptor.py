"""Statuses: what an error says, cut to what gRPC carries."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import HanseError, RoleMissing, ValidationFailed
from hanse.identity import Caller, Role
from hanse.rpc.interceptor import ERROR_DOMAIN, require_role, status_of
from hanse.validation import validate
from hanse_protos.ticket.v1.service_pb2 import ImportTicketsRequest
from tests.support import OCCUR_TIME

LIMIT_BYTES = 8_192


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def carried_bytes(status: status_pb2.Status) -> int:
    """Return what a status takes in the trailers at most: percent-encoded, and again in base64."""
    return 3 * len(status.message.encode()) + len(status.SerializeToString()) * 4 // 3


def test_a_status_says_code_reason_hint_and_facts() -> None:
    status = status_of(RoleMissing(needed="lead"))
    info = info_of(status)
    assert (status.code, info.reason, info.domain) == (RoleMissing.code, "ROLE_MISSING", ERROR_DOMAIN)
    assert dict(info.metadata) == {"needed": "lead", "hint": RoleMissing.hint}


@given(st.text(max_size=5_000), st.text(max_size=2_000), st.dictionaries(st.text("abc", min_size=1), st.text()))
def test_no_error_is_larger_than_what_grpc_carries(message: str, hint: str, facts: dict[str, str]) -> None:
    facts = {f"fact_{name}": value * 50 for name, value in facts.items()}
    encodable = [text.encode(errors="replace").decode() for text in (message, hint)]
    assert carried_bytes(status_of(HanseError(encodable[0], hint=encodable[1], **facts))) < LIMIT_BYTES


def test_a_long_message_is_cut_between_characters() -> None:
    assert status_of(HanseError("界" * 5_000)).message == "界" * 399 + "…"


def test_a_request_with_hundreds_of_problems_names_the_first_and_counts_the_others() -> None:
    with pytest.raises(ValidationFailed) as caught:
        validate(ImportTicketsRequest(tickets=[{"title": ""}] * 200))  # type: ignore[list-item]
    assert caught.value.metadata["fields"].startswith("parent, tickets[0].external_id, tickets[0].title")
    assert caught.value.metadata["fields"].count(",") == 9
    assert "more" in caught.value.message


def test_a_caller_with_one_of_the_roles_may() -> None:
    caller = Caller("a", "units/shanghai", frozenset({Role.LEAD}), OCCUR_TIME)
    require_role(caller, frozenset({Role.LEAD, Role.AGENT}))
    with pytest.raises(RoleMissing):
        require_role(caller, frozenset())
