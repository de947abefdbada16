"""Which processes of the server serve us."""

from messages.transport.database.postgres import Database


async def backend_of(database: Database) -> int:
    async with database.session() as tx:
        pid: int = await tx.fetchval("SELECT pg_backend_pid()")
        return pid


async def two_backends(database: Database) -> set[int]:
    async with database.session() as one, database.session() as other:
        return {await each.fetchval("SELECT pg_backend_pid()") for each in (one, other)}
