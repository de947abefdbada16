"""Documents that are parked and to be replayed."""

from uuid import uuid4

from messages.transport import parked
from messages.transport.database.transactions import Transaction
from messages.transport.incoming import Malformed
from tests.integration.toy.station import Station


async def park(station: Station, *bodies: bytes, reason: str = "handler_failed") -> None:
    """Park these bodies in this order, and ask for their replay."""
    ids = sorted(uuid4() for _ in bodies)  # by which those of one batch are parked
    documents = [Malformed(*each, reason, "before", queue="toy.bought") for each in zip(bodies, ids, strict=True)]
    await parked.park(station.connection, documents)
    await request_all(station.connection)


async def request_all(tx: Transaction) -> int:
    """Ask for the replay of all that is parked."""
    return await parked.request_replay(tx, [row.id for row in await parked.parked(tx)])


async def nothing_is_requested(station: Station) -> None:
    async def none() -> bool:
        return not await station.rows("SELECT FROM parked WHERE replay_requested_at IS NOT NULL")

    await station.until(none)
