"""A channel keeps its frames from aiormq until the broker agrees to its end, and nothing is sent on one that ends."""

import pytest
from pamqp.commands import Basic, Channel
from pamqp.frame import FrameTypes, marshal

from tests.unit.fast_lane.line import HEARTBEAT, MINE, Line, delivery


async def test_nothing_is_sent_on_a_channel_that_the_broker_closes() -> None:
    """It would cost the connection."""
    line = Line()
    line.arrivals.acknowledge(1)
    assert line.written == [marshal(Basic.Ack(1, multiple=True), MINE)]
    close = marshal(Channel.Close(404, "NOT_FOUND", 60, 40), MINE)
    line.receive(close)
    line.arrivals.acknowledge(2)
    assert len(line.written) == 1
    assert not line.channel.open
    assert await line.left() == close


@pytest.mark.parametrize("end", [Channel.CloseOk(), Channel.Close(404, "NOT_FOUND", 60, 40)])
async def test_a_channel_that_is_over_leaves_the_lane(end: FrameTypes) -> None:
    """One that is never used again would be kept, and asked at each read, for as long as the connection lives."""
    line = Line()
    line.receive(b"".join(delivery(b"before")))
    close = marshal(end, MINE)
    line.receive(close + HEARTBEAT)
    assert line.lane._handlers == {}
    assert line.bodies == [b"before"]
    assert await line.left() == close + HEARTBEAT
    line.arrivals.acknowledge(1)
    assert line.written == []


async def test_until_the_broker_agrees_to_its_end_a_channel_keeps_its_frames_from_aiormq() -> None:
    """Nobody reads a channel of aiormq's that is closing: a few frames more, and the whole connection would stand."""
    line = Line()
    line.underlay.is_closed = True
    line.receive(b"".join(delivery(b"late")))
    assert await line.left() == b""


async def test_nothing_is_sent_on_a_channel_that_is_closed() -> None:
    line = Line()
    line.underlay.is_closed = True
    line.arrivals.acknowledge(1)
    assert line.written == []


async def test_nothing_is_sent_on_a_connection_that_is_closing() -> None:
    line = Line()
    line.closing = True
    line.arrivals.acknowledge(1)
    assert line.written == []
