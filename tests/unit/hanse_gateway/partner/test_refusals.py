"""What the desk refuses, in the gateway's own words."""

from __future__ import annotations

import grpc
import pytest

from hanse.errors import HanseError, Unavailable
from hanse.rpc.client import RemoteError
from hanse_gateway.partner.refusals import PARTNERS_ACT_ON, own_error

SECRET = "units/shanghai/services/gateway"


def refusal(code: grpc.StatusCode, reason: str, **metadata: str) -> RemoteError:
    return RemoteError(code, reason, f"{SECRET} may not", f"ask {SECRET}", metadata)


@pytest.mark.parametrize("reason", PARTNERS_ACT_ON)
def test_a_reason_that_a_partner_can_act_on_is_kept(reason: str) -> None:
    assert own_error(refusal(grpc.StatusCode.UNKNOWN, reason)).reason == reason


@pytest.mark.parametrize("reason", [*PARTNERS_ACT_ON, "POLICY_MISSING", "ROLE_MISSING", "INTERNAL"])
def test_the_desks_own_words_are_never_passed_on(reason: str) -> None:
    error = own_error(refusal(grpc.StatusCode.PERMISSION_DENIED, reason, actor=SECRET))
    assert SECRET not in f"{error.message} {error.hint} {error.metadata}"


def test_the_facts_of_the_case_that_concern_the_partner_are_kept() -> None:
    error = own_error(refusal(grpc.StatusCode.INVALID_ARGUMENT, "CATEGORY_UNKNOWN", category="x", request_id="y"))
    assert error.metadata == {"category": "x"}


def test_a_service_that_nobody_has_keeps_its_reason() -> None:
    error = own_error(refusal(grpc.StatusCode.INVALID_ARGUMENT, "SERVICE_UNKNOWN", service="teapots"))
    assert (error.reason, error.metadata) == ("SERVICE_UNKNOWN", {"service": "teapots"})


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"])
def test_what_passes_is_unavailable(code: str) -> None:
    error = own_error(refusal(grpc.StatusCode[code], code))
    assert type(error) is Unavailable


def test_a_unit_without_a_policy_takes_no_tickets_yet() -> None:
    error = own_error(refusal(grpc.StatusCode.FAILED_PRECONDITION, "POLICY_MISSING"))
    assert type(error) is Unavailable


@pytest.mark.parametrize("reason", ["ROLE_MISSING", "TOKEN_EXPIRED", "SOMETHING_NEW"])
def test_what_is_wrong_between_gateway_and_desk_is_a_defect_of_ours(reason: str) -> None:
    error = own_error(refusal(grpc.StatusCode.PERMISSION_DENIED, reason))
    assert (type(error), error.reason) == (HanseError, "INTERNAL")
