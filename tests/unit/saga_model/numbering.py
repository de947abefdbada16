"""Numbers for parties, states and messages, of which there are few; what no decision depends on is made equal first."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, Line, OrderRequested
from messages.contracts.participation import Refused
from messages.participant.reservation import Reservation, State
from messages.transport.addresses import Address
from order_saga.state import Phase, Saga, Standing
from tests.unit.saga_model.parties import EARLY, ROLES, SAGA, Party


@dataclass(slots=True)
class Numbers:
    """Gives equal things the same small number."""

    things: list[Any] = field(default_factory=list)
    numbers: dict[Hashable, int] = field(default_factory=dict)

    def number(self, thing: Any, key: Hashable) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.things)
            self.things.append(thing)
        return self.numbers[key]


class Numbering:
    """The states and messages of so many orders that were come across so far."""

    def __init__(self, orders: int) -> None:
        self.order_ids = [UUID(int=number + 1) for number in range(orders)]
        self.parties: list[Party] = [(order, role) for order in range(orders) for role in range(len(ROLES))]
        self.states = {party: Numbers() for party in self.parties}
        self.messages = Numbers()
        self.to: list[Party] = []

    def _request(self, order: int, kind: int) -> int:
        line = Line(sku="milk", quantity=1, price_cents=99)
        order_id = self.order_ids[order]
        if kind:
            return self._message(CancelOrder(order_id=order_id), None)
        about: dict[str, Any] = {"customer_id": "C", "store_id": "S", "zone": "Z", "lines": (line,)}
        return self._message(OrderRequested(order_id=order_id, **about), None)

    def _message(self, message: Message, to: Address | None) -> int:
        """`to`: None for the saga."""
        if isinstance(message, Refused):
            message = message.model_copy(update={"reason": "refused"})
        role = SAGA if to is None else ROLES.index(to.key.partition("_")[0])
        number = self.messages.number(message, (type(message), message.model_dump_json(), role))
        if number == len(self.to):
            assert message.order_id is not None
            self.to.append((message.order_id.int - 1, role))
        return number

    def _first_state(self, party: Party) -> None:
        if party[1] == SAGA:
            self._saga(party, None)
        else:
            self._reservation(party, Reservation(self.order_ids[party[0]]))

    def _saga(self, party: Party, saga: Saga | None) -> int:
        if saga is None:
            return self.states[party].number(None, None)
        standing = saga.standing
        if saga.phase is Phase.RELEASING:
            standing = {name: each if each is Standing.RELEASED else Standing.ASKED for name, each in standing.items()}
        elif saga.phase is Phase.CLOSED:
            standing = {}
        times: dict[str, Any] = {"asked_at": EARLY, "due_at": EARLY, "repeats": 0}
        unsaid: dict[str, Any] = {"participant": None, "reason": saga.reason and "refused", "fingerprint": None}
        same = saga._replace(standing=standing, **times, **unsaid)
        return self.states[party].number(same, (same.phase, *standing.items(), "granted", *same.granted.items()))

    def _reservation(self, party: Party, held: Reservation) -> int:
        same = Reservation(held.order_id, held.state, held.reason and "refused", held.unit_ids)
        if held.state is State.RESERVED:
            same = same._replace(expires_at=held.expires_at, unfit=held.unfit)
        elif held.state is State.ASSIGNED:
            same = same._replace(assigned_at=EARLY, unfit=held.unfit)
        return self.states[party].number(same, same)
