"""A PostgreSQL that has no transaction ids left refuses whatever is written, until it has been vacuumed."""

import asyncpg
import pytest

from deploy.demo import child
from deploy.demo.embedded_postgres import EmbeddedPostgres
from messages.transport.faults import is_infrastructure, is_unreachable

# No further id is given from three million before the wraparound on, two billion after the oldest one.
NEXT_ID = 2**31 - 2_990_000
IDS_PER_FILE, FILE_BYTES = 2**20, 2**18


class WornOut(EmbeddedPostgres):
    """Starts with nearly as many ids used up as there are. Its own vacuum needs some seconds to bring them back."""

    async def _create(self) -> None:
        await super()._create()
        used_up = await self._run("pg_resetwal", "-f", "-x", str(NEXT_ID), "-D", self._data)
        assert await used_up.wait() == 0
        states = self._data / "pg_xact" / f"{NEXT_ID // IDS_PER_FILE:04X}"
        states.write_bytes(bytes(FILE_BYTES))
        child.hand_over(states)


async def test_a_database_that_is_out_of_transaction_ids_is_no_documents_fault() -> None:
    async with WornOut() as postgres:
        connection = await asyncpg.connect(postgres.url)
        with pytest.raises(asyncpg.ProgramLimitExceededError, match="wraparound") as refused:
            await connection.execute("CREATE TABLE any_table ()")
        await connection.close()
    assert is_infrastructure(refused.value)
    assert not is_unreachable(refused.value), "it can still be read"
