"""What is said of an error quotes nobody."""

import io
import logging
from types import SimpleNamespace

from sqlalchemy.exc import IntegrityError

from hanse.discreet import DiscreetFormatter, discreet, discreet_traceback, write_traceback
from hanse.errors import ResourceNotFound

WORDS = "Frau Chen, +86 21 5555 0100"


class UniqueViolation(Exception):  # noqa: N818 - named as psycopg's.
    """Says what psycopg's says."""

    sqlstate = "23505"
    diag = SimpleNamespace(constraint_name="customer_unique_reference")


def raised() -> ValueError:
    """Return an error that was raised, with another one before it."""
    try:
        try:
            raise KeyError(WORDS)
        except KeyError as error:
            raise ValueError(WORDS) from error
    except ValueError as error:
        return error


def test_an_error_of_ours_keeps_its_words() -> None:
    error = ResourceNotFound("units/shanghai/tickets/t1 is not here")
    assert discreet(error) == "ResourceNotFound: units/shanghai/tickets/t1 is not here"


def test_an_error_of_the_database_is_its_code_and_its_constraint() -> None:
    error = IntegrityError("INSERT", {"phone": WORDS}, UniqueViolation(f"DETAIL: Key (phone)=({WORDS}) exists."))
    assert discreet(error) == "IntegrityError: UniqueViolation (23505) of customer_unique_reference"


def test_any_other_error_is_where_it_was_raised() -> None:
    said = discreet(raised())
    assert said.startswith("ValueError at ")
    assert said.endswith("in raised")


def test_a_lost_connection_keeps_its_reason() -> None:
    assert discreet(ConnectionRefusedError(111, "refused")) == "ConnectionRefusedError: [Errno 111] refused"


def test_a_traceback_shows_every_cause_and_no_words() -> None:
    said = discreet_traceback(raised())
    assert said.index("KeyError at") < said.index("ValueError at")
    assert WORDS not in said


def test_a_traceback_of_a_group_shows_each_of_its_errors() -> None:
    said = discreet_traceback(ExceptionGroup(WORDS, [raised()]))
    assert "ValueError at" in said
    assert WORDS not in said


def test_structlog_writes_a_traceback_without_words() -> None:
    stream, error = io.StringIO(), raised()
    write_traceback(stream, (ValueError, error, error.__traceback__))
    assert "ValueError at" in stream.getvalue()
    assert WORDS not in stream.getvalue()


def test_what_libraries_log_has_no_words_of_errors() -> None:
    error = raised()
    record = logging.LogRecord("nameko", logging.ERROR, "", 1, "a worker failed", None, (type(error), error, None))
    said = DiscreetFormatter("%(message)s").format(record)
    assert said.startswith("a worker failed\n")
    assert WORDS not in said
