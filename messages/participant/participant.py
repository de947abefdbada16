"""What makes a worker a participant: its name, its message types for the answers, and its units."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.participation import OutcomeRequested
from messages.participant.allocation import Pool, Shelf, Want
from messages.participant.reservation import Decision, Reply, Timing
from messages.transport.addresses import ANSWERS, Address
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write

ORCHESTRATOR = Address(ANSWERS, "order_saga.answers")
"""Receives what any participant answers."""

HELD_WITHOUT_RESERVATION = "held_without_reservation"
"""The alarm for a unit that has an order without a reservation, as after a change by hand."""


@dataclass(slots=True)
class Moves:
    """Units that change hands, each with its order. Fulfilled ones may have been taken in the same batch."""

    taken: list[tuple[str, UUID]] = field(default_factory=list)
    given_back: list[tuple[str, UUID]] = field(default_factory=list)
    fulfilled: list[tuple[str, UUID]] = field(default_factory=list)
    places: Mapping[UUID, str] = field(default_factory=dict)
    """Order -> where the units it took were found."""


class Units(Protocol):
    """The units of a participant: packets, agents. Each is on one shelf: `allocate` would give one on two away twice.

    Its migrations also create the view `unfit (order_id, reason)`: orders that hold a unit which must not be assigned.
    """

    @property
    def fulfilled_are_free(self) -> bool:
        """Whether a fulfilled order's units can be reserved again: agents yes, packets no."""

    def wants(self, reserve: Any) -> Sequence[Want]:
        """What a Reserve asks for: at least one unit, and each shelf only once."""

    async def find(self, tx: Transaction, needs: Sequence[Want], *, waiting: bool) -> Mapping[Shelf, Pool]:
        """Free units of every shelf, at most as many as needed, best first; in a transaction, locked.

        `waiting`: wait for those that other transactions have locked.
        """

    def move(self, moves: Moves) -> Iterable[Write]:
        """Write which order has which units. A unit that is taken must still be free, and where it was found.

        Raises TooMuchAtOnce if one statement cannot write that.
        """

    async def forget(self, tx: Transaction, unit_ids: Sequence[str]) -> None:
        """Their fulfilled reservations are being pruned."""


@dataclass(frozen=True, slots=True)
class Participant:
    """A worker, as far as the protocol is concerned."""

    name: str
    units: Units
    timing: Timing
    reserved: Callable[..., Message]
    refused: Callable[..., Message]
    assigned: Callable[[UUID, tuple[str, ...]], Message]
    released: Callable[..., Message]

    def message_for(self, order_id: UUID, decision: Decision) -> Message:
        """The message to the orchestrator for a decision whose `reply` is not None."""
        if decision.reply is Reply.RESERVED:
            return self.reserved(order_id=order_id)
        if decision.reply is Reply.ASSIGNED:
            return self.assigned(order_id, decision.reservation.unit_ids)
        if decision.reply is Reply.RELEASED:
            return self.released(order_id=order_id)
        if decision.reply is Reply.REFUSED:
            return self.refused(order_id=order_id, reason=decision.reason)
        return OutcomeRequested(order_id=order_id, participant=self.name)
