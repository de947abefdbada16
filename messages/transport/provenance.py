"""Who can have published a message: judged by the exchanges that it came through, never by its content."""

from enum import IntEnum
from typing import NamedTuple

from messages.transport.addresses import ANSWERS, COMMANDS, DEAD_LETTERS, OUTCOMES, REQUESTS

FAILED_TOO_OFTEN = "delivery_limit"
"""RabbitMQ's dead-letter reason."""


class Provenance(IntEnum):
    """Who can have published a message, the most trusted first."""

    INTERNAL = 0
    CLIENT = 1
    """From a client, which may publish only the types meant for clients."""
    UNTRUSTED_ROUTE = 2
    """Through a client-made exchange or queue, where RabbitMQ does not check the right to the routing key."""

    @property
    def from_outside(self) -> bool:
        """False only if nobody but our own services can have published it."""
        return self > 0


class Death(NamedTuple):
    """What the broker notes in a message when a queue dead-letters it."""

    reason: str
    exchange: str
    """Through which it had come into that queue."""
    first: bool = True
    """No other queue had dead-lettered it before."""

    @property
    def of_failures(self) -> bool:
        """Whether our handling failed too often; any other reason can be brought about by the sender."""
        return self.reason == FAILED_TOO_OFTEN


def provenance_of(exchange: str, death: Death | None = None) -> Provenance:
    """The origin of a message that came through `exchange`; `death`: a queue has dead-lettered it before.

    A message names the exchange to which it was first published, however many others it passed through. Only
    dead-lettering publishes it anew: then `exchange` is that of the dead letters, and `death` has the one before.
    """
    if death is None:
        return _PROVENANCE.get(exchange, _UNKNOWN)
    if exchange != DEAD_LETTERS or not death.first:
        return _UNKNOWN
    return max(provenance_of(death.exchange), Provenance.INTERNAL if death.of_failures else Provenance.CLIENT)


# By their permissions only our services write the first three, and only the broker writes dead letters.
_PROVENANCE = {
    COMMANDS: Provenance.INTERNAL,
    ANSWERS: Provenance.INTERNAL,
    OUTCOMES: Provenance.INTERNAL,
    REQUESTS: Provenance.CLIENT,
}
_UNKNOWN = Provenance.UNTRUSTED_ROUTE  # looking up an Enum's attribute costs as much as all the rest
