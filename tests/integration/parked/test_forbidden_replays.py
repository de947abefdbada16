"""What a client may not say is not said by a replay either."""

from uuid import uuid4

from structlog.testing import capture_logs

from messages.transport import parked
from messages.transport.addresses import Address
from messages.transport.broker import ONE_DOCUMENT, Envelope
from messages.transport.topology import Binding, Exchange, Topology
from tests.integration.parked.replays import nothing_is_requested, request_all
from tests.integration.toy.service import Forwarded, bought
from tests.integration.toy.station import Station, document


async def test_what_a_client_must_not_say_is_not_said_by_a_replay_either(station: Station) -> None:
    forged = document(Forwarded(order_id=uuid4(), text="forged"))
    await station.publish("bought", forged)
    station.toy.handlers[Forwarded] = "paid"
    with capture_logs() as logs:
        async with station.running():
            await station.until_count("parked", 1)
            await request_all(station.connection)
            await nothing_is_requested(station)
    (row,) = await parked.parked(station.connection)
    assert (row.reason, row.times, row.from_outside) == ("forbidden", 2, True)
    assert await station.count("heard") == 0
    assert [line["reason"] for line in logs if line["event"] == "replay failed"] == ["forbidden"]


async def test_what_came_by_a_detour_is_not_handled_and_not_replayed(station: Station) -> None:
    """Not even what a client may say: who could say it there was never asked for the right to."""
    detour = Topology((Exchange("outcomes.evil", "direct"),), (), (Binding("outcomes.evil", "bought", "toy.bought"),))
    station.client.declare(detour)
    said = Envelope(Address("outcomes.evil", "bought"), document(bought("smuggled")), ONE_DOCUMENT, str(uuid4()))
    assert await station.client.publish([said]) == [True]
    async with station.running():
        await station.until_count("parked", 1)
        await request_all(station.connection)
        await nothing_is_requested(station)
    (row,) = await parked.parked(station.connection)
    assert (row.reason, row.times, row.from_outside) == ("forbidden", 2, True)
    assert await station.count("heard") == 0
