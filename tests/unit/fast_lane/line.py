"""A lane between a network that the test plays and a reader of aiormq's, and the frames of a message."""

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import FrameTypes, marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from messages.transport.broker import Arrival
from messages.transport.rabbitmq.arrivals import CONSUMER, Arrivals
from messages.transport.rabbitmq.fast_channel import FastChannel
from messages.transport.rabbitmq.fast_lane import FastLane

MINE, OTHER = 1, 2
HEARTBEAT = marshal(Heartbeat(), 0)


class Line:
    """A lane between a network that the test plays and a reader of aiormq's."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.lane = FastLane(self.reader)
        self.written: list[bytes] = []
        self.closing = False
        socket = SimpleNamespace(
            write=self.written.append, is_closing=lambda: self.closing, get_extra_info=lambda _: None
        )
        self.lane.connection_made(cast("asyncio.Transport", socket))
        self.arrived: deque[Arrival] = deque()
        self.told = 0
        self.underlay = SimpleNamespace(number=MINE, is_closed=False)
        self.channel = FastChannel(cast("Any", self.underlay), self.lane)
        self.harmless = 0
        self.arrivals = Arrivals(self.channel, self.arrived, self._tell, self._find_harmless)

    def _tell(self) -> None:
        self.told += 1

    def _find_harmless(self) -> None:
        self.harmless += 1

    def receive(self, data: bytes, cuts: list[int] | None = None) -> None:
        start = 0
        for cut in [*sorted(cuts or []), len(data)]:
            if cut > start:
                self.lane.data_received(data[start:cut])
                start = cut

    async def left(self) -> bytes:
        """What aiormq saw."""
        self.lane.eof_received()
        return await self.reader.read()

    @property
    def bodies(self) -> list[bytes]:
        return [arrival.body for arrival in self.arrived]


def message(method: FrameTypes, body: bytes, pieces: int, channel: int) -> list[bytes]:
    size = -(-len(body) // pieces) or 1
    bodies = [ContentBody(body[start : start + size]) for start in range(0, len(body), size)]
    content = ContentHeader(body_size=len(body), properties=Basic.Properties(content_type="application/json"))
    return [marshal(frame, channel) for frame in (method, content, *bodies)]


def delivery(body: bytes, consumer: str = CONSUMER, channel: int = MINE, tag: int = 1, pieces: int = 1) -> list[bytes]:
    return message(Basic.Deliver(consumer, tag, exchange="commands", routing_key="work"), body, pieces, channel)
