"""What an orchestrator asks of any participant, and what any participant can answer."""

from typing import ClassVar

from pydantic import AwareDatetime, Field

from messages.contracts.message import Identifier, OrderMessage, ParticipantName, Reason

RESERVE = "reserve"
"""The queue of a participant that Reserve goes to."""
SETTLE = "settle"
"""The queue for all else that the orchestrator says about reservations, so that it never waits behind new work."""
REPORTS = "reports"
"""The queue for what clients say about units and deliveries, so that no order waits behind it."""

RESERVATION_EXPIRED = "reservation_expired"
RELEASED = "released"
TOO_LATE = "command_too_late"
NEVER_RESERVED = "never_reserved"


class Command(OrderMessage):
    """An imperative to one participant."""


class Reserve(Command):
    """Hold what the order needs, all of it or nothing, for `lease_seconds` from when it is held."""

    lease_seconds: int = Field(ge=1, le=86_400)
    not_after: AwareDatetime


class Assign(Command):
    """Turn the reservation into an assignment, which has no expiry. Refused after `not_after`."""

    not_after: AwareDatetime


class Release(Command):
    """Give back whatever the order holds, and refuse commands about it that arrive later."""


class Answer(OrderMessage):
    """A participant's answer about an order: a function of its reservation's state, and of what is gone of it."""

    PARTICIPANT: ClassVar[str]


class Reserved(Answer):
    """Everything asked for is held."""


class Refused(Answer):
    """The order will not get what it asked for.

    Nothing is held for it, unless it had been assigned and part of that is gone now: what is left is still held.
    """

    reason: Reason


class Assigned(Answer):
    """Everything asked for now belongs to the order."""

    @property
    def unit_ids(self) -> tuple[Identifier, ...]:
        """The units that belong to the order."""
        raise NotImplementedError


class Released(Answer):
    """Nothing is held, and nothing will be."""


class OutcomeRequested(OrderMessage):
    """A participant has held a unit assigned for long and asks what became of the order."""

    participant: ParticipantName
