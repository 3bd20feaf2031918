"""The table of error reasons holds together."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import pytest
from google.rpc import code_pb2

from hanse import errors
from hanse.errors import HanseError, IllegalTransition, LogFork, LogGap, ResourceNotFound

# google.rpc.ErrorInfo asks for at most 63 characters that match this pattern.
REASON_PATTERN = re.compile(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]")


def every_error(base: type[HanseError] = HanseError) -> Iterator[type[HanseError]]:
    yield base
    for child in base.__subclasses__():
        yield from every_error(child)


def test_every_reason_belongs_to_one_class() -> None:
    reasons = [error.reason for error in every_error()]
    assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: error.__name__)
def test_every_error_has_its_own_texts_and_a_well_formed_reason(error: type[HanseError]) -> None:
    assert REASON_PATTERN.fullmatch(error.reason)
    assert {"reason", "message", "hint"} <= vars(error).keys()
    assert error.message.endswith(".")
    assert error.hint.endswith(".")


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: error.__name__)
def test_no_error_claims_success(error: type[HanseError]) -> None:
    assert error.code not in {code_pb2.OK, code_pb2.UNKNOWN}


def test_an_error_needs_no_arguments() -> None:
    error = IllegalTransition()
    assert str(error) == error.message == IllegalTransition.message
    assert error.hint == IllegalTransition.hint
    assert error.metadata == {}


def test_the_raiser_may_replace_the_texts_and_add_facts() -> None:
    error = IllegalTransition("A closed ticket stays closed.", hint="Open a new one.", ticket="units/hq/tickets/a")
    assert str(error) == "A closed ticket stays closed."
    assert error.hint == "Open a new one."
    assert error.metadata == {"ticket": "units/hq/tickets/a"}


def test_replacing_a_text_leaves_the_table_alone() -> None:
    IllegalTransition("Another text.", hint="Another hint.")
    assert IllegalTransition().message != "Another text."
    assert IllegalTransition().hint != "Another hint."


def test_a_fact_may_be_named_like_a_keyword_of_python() -> None:
    error = IllegalTransition(from_="NEW", to="RESOLVED", verb="ResolveTicket")
    assert error.metadata == {"from": "NEW", "to": "RESOLVED", "verb": "ResolveTicket"}


def test_an_error_survives_pickling() -> None:
    pickled = pickle.dumps(IllegalTransition("No.", hint="Wait.", verb="ResolveTicket"))
    error = pickle.loads(pickled)  # noqa: S301 - we pickled it ourselves, one line above
    assert isinstance(error, IllegalTransition)
    assert (error.message, error.hint, error.metadata) == ("No.", "Wait.", {"verb": "ResolveTicket"})


def test_denied_and_absent_look_the_same() -> None:
    denied, absent = ResourceNotFound(resource="units/hq/tickets/a"), ResourceNotFound(resource="units/hq/tickets/a")
    assert (denied.code, denied.reason, vars(denied)) == (absent.code, absent.reason, vars(absent))
    assert "or you may not see it" in absent.message


def test_a_gap_can_be_repaired_and_a_fork_is_data_loss() -> None:
    assert LogGap.code == code_pb2.FAILED_PRECONDITION
    assert LogFork.code == code_pb2.DATA_LOSS


def test_the_module_defines_nothing_but_errors() -> None:
    classes = {
        value for value in vars(errors).values() if isinstance(value, type) and value.__module__ == "hanse.errors"
    }
    assert classes <= set(every_error())
