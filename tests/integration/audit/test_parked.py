"""Of what is parked, only what is our fault is a finding, however much clients have got wrong."""

import pytest

from order_saga.inspection import audit as auditing
from order_saga.inspection.audit import examine
from tests.integration.audit.worlds import World


async def test_what_its_sender_got_wrong_accuses_nobody_here(world: World) -> None:
    await world.corrupt(
        "order_saga",
        park("('OrderRequested/1.0', 'invalid', true, now())", "(NULL, 'not_json', true, now())"),
    )

    report = await examine(world.urls, 0.0, at_rest=True)

    assert (report.findings, report.parked_by_others) == ([], 2)


@pytest.mark.parametrize(
    ("wire_type", "reason", "from_outside", "ours"),
    [
        ("ReservePackets/1.0", "handler_failed", False, True),
        ("OrderRequested/1.0", "handler_failed", True, True),
        ("OrderRequested/1.0", "dead_lettered", True, True),
        (None, "dead_lettered", False, True),
        ("ReservePackets/9.0", "unknown_version", False, True),
        ("ReservePackets/9.0", "unknown_version", True, False),
        ("ReservePackets", "unknown_version", False, True),
        ("PacketsAssigned/1.0", "forbidden", True, False),
        ("OrderRequested/1.0", "invalid", True, False),
        ("OrderRequested/1.0", "invalid", False, True),
        ("/1.0", "unknown_type", False, True),
        (None, "not_json", True, False),
        (None, "not_json", False, True),
    ],
)
async def test_what_a_client_says_wrong_is_not_our_fault(
    world: World, wire_type: str | None, reason: str, from_outside: bool, ours: bool
) -> None:
    named = f"'{wire_type}'" if wire_type else "NULL"
    await world.corrupt("store_worker", park(f"({named}, '{reason}', {from_outside}, now())"))

    report = await examine(world.urls, 0.0, at_rest=True)

    assert [finding.invariant for finding in report.findings] == ["I6"] * ours
    assert report.parked_by_others == (not ours)


async def test_what_is_our_fault_is_seen_however_much_clients_have_parked_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "MOST_PARKED", 1)
    await world.corrupt(
        "order_saga",
        park(
            "(NULL, 'not_json', true, now() - interval '2 days')",
            "(NULL, 'not_json', true, now() - interval '1 day')",
            "('OrderRequested/1.0', 'handler_failed', true, now())",
        ),
    )

    report = await examine(world.urls, 0.0, at_rest=True)

    assert [(finding.invariant, finding.service) for finding in report.findings] == [("I6", "order_saga")]
    assert report.parked_by_others == 2


async def test_of_more_faults_of_ours_than_are_told_the_oldest_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "MOST_PARKED", 1)
    await world.corrupt(
        "order_saga",
        park(
            "('CancelOrder/1.0', 'handler_failed', true, now())",
            "('OrderRequested/1.0', 'handler_failed', true, now() - interval '1 day')",
        ),
    )

    report = await examine(world.urls, 0.0, at_rest=True)

    (finding,) = report.findings
    assert finding.sentence.startswith("parked: OrderRequested/1.0 ")
    assert report.parked_by_others == 0


def park(*documents: str) -> str:
    """`(type, reason, from outside, parked at)` each."""
    return f"""
        INSERT INTO parked (message_id, type, queue, reason, detail, body, parked_at, from_outside)
        SELECT gen_random_uuid(), type, 'a.queue', reason, 'x', ''::bytea, parked_at, from_outside
        FROM (VALUES {", ".join(documents)}) AS given (type, reason, from_outside, parked_at)
    """
