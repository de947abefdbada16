"""A purchase, for whoever has to write something."""

from uuid import uuid4

from messages.transport.database.postgres import Database


async def write(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
