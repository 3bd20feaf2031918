"""Whatever an rpc is sent, it answers, or refuses with a reason; the server goes on."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.effort import FUZZED
from tests.fuzz.strategies import mutated, requests
from tests.fuzz.target import Target, rpcs

RPCS = rpcs()


def request_class(rpc: str) -> type[Message]:
    """Return what an rpc is sent."""
    return GetMessageClass(RPCS[rpc].input_type)


@pytest.mark.parametrize("rpc", RPCS)
def test_a_request_by_the_contract_or_against_it_is_answered_or_refused(target: Target, rpc: str) -> None:
    @FUZZED
    @given(requests(request_class(rpc), target.known))
    def send(request: Message) -> None:
        target.run(target.call(rpc, request.SerializeToString()))

    send()
    target.run(target.goes_on())


@pytest.mark.parametrize("rpc", RPCS)
def test_mutated_bytes_are_answered_or_refused(target: Target, rpc: str) -> None:
    @FUZZED
    @given(st.data())
    def send(data: st.DataObject) -> None:
        content = data.draw(mutated(request_class(rpc), target.known))
        target.run(target.call(rpc, content))

    send()
    target.run(target.goes_on())
