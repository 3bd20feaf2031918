"""Sealed fields: withheld they change nothing, changed they are found."""

from __future__ import annotations

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import LogFork
from hanse.log.events import Origin, new_event, payload_of
from hanse.log.sealing import SALT_BYTES, check_sealed, digests_of, seal, texts_of
from hanse_protos.log.v1.log_pb2 import Event, SealedField, SealedFields
from tests.support import OCCUR_TIME

TEXTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.text(min_size=1, max_size=20), max_size=4)
MARK = "this is a sealed text: "
ORIGIN = Origin("units/shanghai", "units/shanghai/agents/li")


def sealed_event(texts: dict[str, str]) -> tuple[Event, list[SealedField]]:
    entry = new_event(ORIGIN, "units/shanghai/things/1", StringValue(value="x"), OCCUR_TIME, texts)
    return Event.FromString(entry.event), list(SealedFields.FromString(entry.sealed or b"").fields)


@given(TEXTS, st.data())
def test_an_event_verifies_with_any_part_of_its_sealed_fields(texts: dict[str, str], data: st.DataObject) -> None:
    event, fields = sealed_event(texts)
    check_sealed(event, [field for field in fields if data.draw(st.booleans())])


@given(TEXTS)
def test_no_text_is_in_the_event_itself(texts: dict[str, str]) -> None:
    event, _ = sealed_event({field: MARK + text for field, text in texts.items()})
    assert MARK.encode() not in event.SerializeToString()


@pytest.mark.parametrize("change", [{"value": "b"}, {"field": "other"}, {"salt": b"0" * SALT_BYTES}])
def test_a_changed_sealed_field_is_a_fork(change: dict[str, object]) -> None:
    event, [field] = sealed_event({"text": "a"})
    field.MergeFrom(SealedField(**change))  # type: ignore[arg-type]
    with pytest.raises(LogFork):
        check_sealed(event, [field])


def test_a_sealed_field_of_another_event_is_a_fork() -> None:
    event, _ = sealed_event({"text": "a"})
    _, other = sealed_event({"text": "a"})
    with pytest.raises(LogFork):
        check_sealed(event, other)


def test_the_same_text_has_another_digest_each_time() -> None:
    digests = {digests_of(seal({"text": "yes"}))[0].digest for _ in range(3)}
    assert len(digests) == 3


def test_empty_texts_are_not_sealed() -> None:
    event, fields = sealed_event({"text": "", "title": "a"})
    assert ([field.field for field in fields], len(event.sealed_digests)) == (["title"], 1)


@given(TEXTS)
def test_stored_fields_give_back_their_texts(texts: dict[str, str]) -> None:
    assert texts_of(seal(texts).SerializeToString()) == texts
    assert texts_of(None) == {}


def test_a_payload_of_an_unknown_type_is_kept_closed() -> None:
    assert payload_of(Event(type="hanse_protos.future.v9.Invented", payload=b"x")) is None
