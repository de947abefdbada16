"""Who can have said what arrives: told by the way on which the broker brought it, never by what it says itself."""

from enum import IntEnum
from typing import NamedTuple

from messages.transport.addresses import ANSWERS, COMMANDS, DEAD_LETTERS, REQUESTS

FAILED_TOO_OFTEN = "delivery_limit"
"""RabbitMQ's word for it."""


class Outside(IntEnum):
    """Whether something comes from outside. False only of what our own services alone can have said."""

    NO = 0
    YES = 1
    """A client's: it may say what is for clients to say, and nothing else."""
    BY_A_DETOUR = 2
    """Through an exchange or a queue of a client's own making, where the broker asks for no right to say it."""


class Death(NamedTuple):
    """What the broker writes on a message when a queue gives it up."""

    reason: str
    exchange: str
    """By which it had come into that queue."""
    first: bool = True
    """No other queue had given it up before."""

    @property
    def of_failures(self) -> bool:
        """It was ours to handle; its sender can have any other reason brought about."""
        return self.reason == FAILED_TOO_OFTEN


def outside(exchange: str, death: Death | None = None) -> Outside:
    """Of what came through `exchange`; `death`: a queue has given it up before.

    A message names the exchange to which it was first published, through however many others it passed. Only
    dead-lettering publishes it anew: then `exchange` is that of the dead letters, and `death` tells the one before.
    """
    if death is None:
        return _OUTSIDE.get(exchange, _UNKNOWN)
    if exchange != DEAD_LETTERS or not death.first:
        return _UNKNOWN
    return max(outside(death.exchange), Outside.NO if death.of_failures else Outside.YES)


# By right only the services write these two, and nobody but the broker the dead letters.
_OUTSIDE = {COMMANDS: Outside.NO, ANSWERS: Outside.NO, REQUESTS: Outside.YES}
_UNKNOWN = Outside.BY_A_DETOUR  # an attribute of an Enum's costs as much as all the rest
