"""What a test lets go wrong while the toy handles a batch."""

from messages.transport.database.transactions import Transaction
from tests.integration.toy.service import Fault
from tests.integration.toy.station import Station


def raising(error: Exception) -> Fault:
    async def fault(_tx: Transaction) -> None:
        raise error

    return fault


def failing(statement: str) -> Fault:
    return lambda tx: tx.execute(statement)


def raising_in_postgres(sqlstate: str) -> Fault:
    return failing(f"DO $$ BEGIN RAISE EXCEPTION 'as arranged' USING ERRCODE = '{sqlstate}'; END $$")


async def lose_three_times(station: Station, queue: str) -> None:
    """Whatever is in the queue is given to somebody who does not live to handle it."""
    loser = station.client.beside()
    await loser.start()
    await loser.subscribe(queue, 100, lambda: None)
    for _ in range(2):
        loser.break_connection()
    await loser.close()
