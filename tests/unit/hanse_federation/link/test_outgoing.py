"""What an end is about to send: in order, bounded, and dropped when the link is over."""

import pytest

from hanse.errors import FramesUnread
from hanse_federation.link import outgoing
from hanse_federation.link.outgoing import Outgoing
from hanse_protos.federation.v1.link_pb2 import UnitFrame

MUNICH, SHANGHAI, VIENNA = (UnitFrame(unit=f"units/{name}") for name in ("munich", "shanghai", "vienna"))


async def test_frames_are_read_in_the_order_in_which_they_were_put() -> None:
    frames = Outgoing[UnitFrame]()
    frames.put(MUNICH)
    frames.put(SHANGHAI)
    reading = aiter(frames)
    assert [await anext(reading), await anext(reading)] == [MUNICH, SHANGHAI]


async def test_more_than_the_other_end_may_leave_unread_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MAX_UNREAD_FRAMES", 2)
    frames = Outgoing[UnitFrame]()
    frames.put(MUNICH)
    frames.put(SHANGHAI)
    with pytest.raises(FramesUnread):
        frames.put(VIENNA)


async def test_what_was_not_read_at_the_end_is_dropped() -> None:
    frames = Outgoing[UnitFrame]()
    frames.put(MUNICH)
    frames.end()
    assert [frame async for frame in frames] == []
