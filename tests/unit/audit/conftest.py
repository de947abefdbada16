"""The world as it should be."""

import pytest

from messages.contracts.views import Received, Unit
from order_saga.inspection.evidence import Census, Share
from tests.unit.audit.world import (
    BLOCKING,
    CANCELLED,
    DELIVERED,
    DELIVERY,
    PLACED,
    SOON,
    STORE,
    World,
    holding,
    order,
    packets,
)


@pytest.fixture
def world() -> World:
    """One order of each kind: placed, cancelled, delivered, waiting to be decided."""
    agent = Unit("A-1", "centre", "agent", "confirmed", PLACED)
    return World(
        orders={
            PLACED: order(PLACED),
            CANCELLED: order(CANCELLED, phase="closed", outcome="not_placed", reason="cancelled", granted={}),
            DELIVERED: order(DELIVERED, granted={"store": ("P-4", "P-5", "P-6"), "delivery": ("A-2",)}),
            BLOCKING: order(
                BLOCKING, phase="reserving", outcome=None, granted={}, deadline=SOON, decided_at=None, cleaned_at=None
            ),
        },
        shares={
            (PLACED, "store"): Share(
                STORE,
                holding(PLACED, "confirmed", "P-1", "P-2", "P-3"),
                packets(PLACED, "confirmed", "P-1", "P-2", "P-3"),
            ),
            (PLACED, "delivery"): Share(DELIVERY, holding(PLACED, "confirmed", "A-1"), (agent,)),
            (CANCELLED, "store"): Share(STORE, holding(CANCELLED, "released")),
            (CANCELLED, "delivery"): Share(DELIVERY, holding(CANCELLED, "refused")),
            (DELIVERED, "store"): Share(
                STORE,
                holding(DELIVERED, "fulfilled", "P-4", "P-5", "P-6"),
                packets(DELIVERED, "fulfilled", "P-4", "P-5", "P-6"),
            ),
            (DELIVERED, "delivery"): Share(DELIVERY, holding(DELIVERED, "fulfilled", "A-2")),
            (BLOCKING, "store"): Share(
                STORE,
                holding(BLOCKING, "reserved", "P-7", "P-8", "P-9")._replace(expires_at=SOON),
                packets(BLOCKING, "reserved", "P-7", "P-8", "P-9"),
            ),
        },
        store=Census("store_worker", stock=[(Received("north", "milk", 6), 6)]),
    )
