"""Who takes part in the model of the saga, on which terms, and at which times."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

from messages.contracts.delivery import DELIVERY, AgentAssigned, AgentRefused, AgentReleased, AgentReserved
from messages.contracts.store import STORE, PacketsAssigned, PacketsRefused, PacketsReleased, PacketsReserved
from messages.participant import reservation
from messages.participant.participant import Participant, Units
from order_saga.participants import PARTICIPANTS
from order_saga.state import Policy

EARLY = datetime(2030, 1, 1, tzinfo=UTC)
LATE = EARLY + timedelta(seconds=20)
"""The lease is over, and the deadline has passed."""
MUCH_LATER = EARLY + timedelta(days=1)

# A lease shorter than the budget is refused as a setting; here it lets leases run out while the order is undecided.
TERMS = Policy(
    budget=timedelta(seconds=15),
    lease_seconds=5,
    repeat_base=timedelta(seconds=1),
    repeat_cap=timedelta(seconds=8),
    release_cap=timedelta(seconds=60),
    alarm_after_repeats=1_000,
    participants={name: PARTICIPANTS[name] for name in (STORE, DELIVERY)},
)
WORKERS_TERMS = reservation.Timing(timedelta(seconds=60), timedelta(days=1))

ROLES = ("saga", STORE, DELIVERY)
SAGA = 0

Party: TypeAlias = tuple[int, int]
"""(order, index of the role)."""

WORKERS: dict[str, Any] = {
    STORE: Participant(
        STORE,
        cast("Units", None),  # the model has its own
        WORKERS_TERMS,
        PacketsReserved,
        PacketsRefused,
        lambda order_id, unit_ids: PacketsAssigned(order_id=order_id, packet_ids=unit_ids),
        PacketsReleased,
    ),
    DELIVERY: Participant(
        DELIVERY,
        None,  # type: ignore[arg-type]
        WORKERS_TERMS,
        AgentReserved,
        AgentRefused,
        lambda order_id, unit_ids: AgentAssigned(order_id=order_id, agent_id=unit_ids[0]),
        AgentReleased,
    ),
}
