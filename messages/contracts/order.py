"""The public edge: what customers request from the saga, and what they receive."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from messages.contracts.message import (
    Contract,
    GivenTime,
    Identifier,
    Message,
    OrderMessage,
    ParticipantName,
    Reason,
)

DEADLINE_PASSED = "deadline_passed"
CANCELLED = "cancelled"
UNKNOWN_ORDER = "unknown_order"


class Line(Contract):
    """So many packets of one sku, at a price a packet in the currency's smallest unit."""

    sku: Identifier
    quantity: Annotated[int, Field(ge=1, le=100)]
    price_cents: Annotated[int, Field(ge=0, le=100_000_000)]


class OrderRequested(OrderMessage):
    """A customer wants these lines from this store, delivered in this zone, decided by `deadline`."""

    FROM_OUTSIDE: ClassVar[bool] = True

    customer_id: Identifier
    store_id: Identifier
    zone: Identifier
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=50)]
    deadline: GivenTime | None = None

    @model_validator(mode="after")
    def _no_sku_twice(self) -> Self:
        if len({line.sku for line in self.lines}) < len(self.lines):
            raise ValueError("a sku may appear in one line only")
        return self


class CancelOrder(OrderMessage):
    """The customer no longer wants the order; it has an effect only while the order is undecided."""

    FROM_OUTSIDE: ClassVar[bool] = True


class OrderPlaced(OrderMessage):
    """The packets and the agent are the customer's. Participants take it as confirmation."""

    TO_OUTSIDE: ClassVar[bool] = True

    packet_ids: tuple[Identifier, ...]
    agent_id: Identifier


class DeliveryCompleted(OrderMessage):
    """The customer has the food: the packets are gone and the agent is idle again."""

    FROM_OUTSIDE: ClassVar[bool] = True


class OrderNotPlaced(OrderMessage):
    """Final: nothing was bought. `participant` is who refused; none if the order was cancelled or too late."""

    TO_OUTSIDE: ClassVar[bool] = True

    participant: ParticipantName | None = None
    reason: Reason


class RequestRejected(Message):
    """A request that was not acted upon. It says nothing about the order of that id, which may be placed."""

    TO_OUTSIDE: ClassVar[bool] = True

    request_message_id: UUID | None = None
    reason: Literal["malformed", "conflict", "too_late"]
    detail: str = ""
