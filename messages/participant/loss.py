"""Units that are gone while orders hold them: the orchestrator is told while it can still give up the order."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted
from messages.participant.participant import HELD_WITHOUT_RESERVATION, ORCHESTRATOR
from messages.participant.queries import expect_no_reservations
from messages.participant.reservation import State
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write, write
from messages.transport.handled import Alarm, Handled, Outgoing, TimelineEntry
from messages.transport.incoming import Incoming


class Lost(NamedTuple):
    """A unit that is gone while an order holds it, and the state of that order's reservation, if it has one."""

    unit_id: str
    order_id: UUID
    state: str | None


@dataclass(frozen=True, slots=True)
class Loss:
    """How a participant loses units, and how it tells that."""

    event: type[Message]
    """The message that takes units away."""
    verb: str
    refused: Callable[[UUID], Message]
    """The refusal of an order whose unit is gone, until it is placed."""
    alarm: str
    """Raised if the order is placed, for then a person has to call the customer."""
    give_back: Callable[[Sequence[tuple[str, UUID]]], Write]
    """(unit, order) pairs -> frees units that no reservation accounts for."""

    async def report(
        self,
        tx: Transaction,
        lost: Sequence[Lost],
        holders: AbstractSet[UUID],
        causes: Mapping[str, Incoming],
        documents: Sequence[Incoming],
    ) -> Handled:
        """`holders`: orders whose reservations are locked; `causes`: unit -> which of the `documents` takes it away.

        What is merely reserved is refused when it is to be assigned.
        """
        await expect_no_reservations(tx, {unit.order_id for unit in lost} - holders)
        if orphans := [(unit.unit_id, unit.order_id) for unit in lost if unit.state is None]:
            await write(tx, [self.give_back(orphans)])
        handled = Handled()
        for unit in lost:
            cause = causes[unit.unit_id]
            self._tell(_as_of(cause, unit, documents), cause, handled)
        assigned = {unit.order_id: causes[unit.unit_id] for unit in lost if unit.state == State.ASSIGNED}
        handled.outgoing = [
            Outgoing(self.refused(order_id), ORCHESTRATOR, cause) for order_id, cause in assigned.items()
        ]
        return handled

    def _tell(self, unit: Lost, cause: Incoming, handled: Handled) -> None:
        detail = f"{unit.unit_id} {self.verb} while {unit.state or 'held without a reservation'}"
        handled.timeline.append(TimelineEntry(unit.order_id, self.event.__name__, detail))
        if unit.state is None:
            handled.alarms.append(Alarm(HELD_WITHOUT_RESERVATION, unit.order_id, detail, cause))
        elif unit.state == State.CONFIRMED:
            handled.alarms.append(Alarm(self.alarm, unit.order_id, detail, cause))


def _as_of(cause: Incoming, unit: Lost, documents: Sequence[Incoming]) -> Lost:
    """Fulfilled, if a delivery reported before it in the batch says so: the reservation's row will do so only later."""
    if unit.state != State.CONFIRMED:
        return unit
    earlier = takewhile(lambda document: document is not cause, documents)
    delivered = {document.message.order_id for document in earlier if isinstance(document.message, DeliveryCompleted)}
    return unit._replace(state=State.FULFILLED) if unit.order_id in delivered else unit
