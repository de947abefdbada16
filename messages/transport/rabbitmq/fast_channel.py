"""A channel that aiormq opens and closes, and whose messages and confirms take the fast lane."""

from enum import Enum, auto
from typing import Protocol

from aiormq.channel import Channel as UnderlayChannel

from messages.transport.rabbitmq.connection import open_channel
from messages.transport.rabbitmq.fast_connection import FastConnection
from messages.transport.rabbitmq.fast_lane import FastLane
from messages.transport.rabbitmq.frames import BODY, CLOSE_ID, CLOSE_OK_ID, HEADER, METHOD, body_size


class Method(Enum):
    """What a receiver makes of a method."""

    LEFT = auto()
    """It is for aiormq."""
    TAKEN = auto()
    TAKEN_WITH_CONTENT = auto()
    """A header and a body come next."""


class Receiver(Protocol):
    """The user of a channel. Called while bytes are being read: nothing here may block."""

    def method(self, frames: bytes, start: int) -> Method: ...

    def content(self, header: bytes, body: bytes) -> None: ...


class FastChannel:
    """Assembles messages for its receiver, and sends whole frames at once."""

    def __init__(self, underlay: UnderlayChannel, lane: FastLane) -> None:
        self.underlay = underlay
        self.number = underlay.number
        self._lane = lane
        self._over = False
        self._header = b""
        self._header_is_next = False
        self._missing = 0
        self._pieces: list[bytes] = []

    @classmethod
    async def on(cls, connection: FastConnection, *, confirms: bool) -> "FastChannel":
        underlay = await open_channel(connection, confirms=confirms)
        assert isinstance(underlay, UnderlayChannel)
        return cls(underlay, connection.lane)

    @property
    def open(self) -> bool:
        """Whether frames may be sent: on a closed channel they would cost the connection."""
        return self._lane.open and not self._over and not self.underlay.is_closed

    def hand_to(self, receiver: Receiver) -> None:
        """Route its frames to `receiver` until Close or CloseOk: aiormq stops reading a channel that it closes."""
        self._receiver = receiver  # before it is registered, no frame comes here
        self._lane.register(self.number, self._take)

    def send(self, frames: bytes) -> None:
        if self.open:
            self._lane.write(frames)

    def _take(self, kind: int, frames: bytes, start: int, end: int) -> bool:
        if kind == METHOD:
            return self._take_method(frames, start)
        if kind == HEADER and self._header_is_next:
            self._header_is_next = False
            self._begin(frames[start:end])
            return True
        if self._missing and kind == BODY:
            self._pieces.append(frames[start:end])
            self._missing -= end - start
            if self._missing <= 0:
                self._complete()
            return True
        return False

    def _take_method(self, frames: bytes, start: int) -> bool:
        method = self._receiver.method(frames, start)
        if method is Method.TAKEN_WITH_CONTENT:
            self._header_is_next = True
        elif method is Method.LEFT and frames.startswith((CLOSE_ID, CLOSE_OK_ID), start):
            self._over = True  # aiormq answers it well before it marks the channel as closed
            self._lane.unregister(self.number)
        return method is not Method.LEFT

    def _begin(self, header: bytes) -> None:
        self._header, self._missing = header, body_size(header)
        if not self._missing:
            self._complete()

    def _complete(self) -> None:
        self._receiver.content(self._header, b"".join(self._pieces))
        self._pieces = []
