"""Each job is due when there is something for it to do, and does that and nothing else."""

from messages.contracts.delivery import ReleaseAgent, ReserveAgent
from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced
from messages.contracts.store import ReleasePackets, ReservePackets
from messages.transport.database.postgres import Database
from order_saga import deadlines
from tests.integration.order_saga.orders import SETTINGS, execute, fetchval, hear, in_transaction, requested, said_types

JOBS = {job.name: job for job in deadlines.jobs(SETTINGS)}
AGES_AGO = "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'"


async def due(database: Database) -> set[str]:
    return {name for name, job in JOBS.items() if job.due and await fetchval(database, f"SELECT {job.due}")}


async def said(database: Database, job: str) -> set[type[Message]]:
    return set(said_types(await in_transaction(database, JOBS[job].run)))


async def test_each_job_is_due_when_there_is_something_for_it_to_do(database: Database) -> None:
    await hear(database, requested())
    assert await due(database) == set()

    await execute(database, AGES_AGO)
    assert await due(database) == {"ask_again"}
    assert await said(database, "decide_overdue") == set()
    assert await said(database, "ask_again") == {ReservePackets, ReserveAgent}

    await execute(database, f"{AGES_AGO}, deadline = now()")
    assert await due(database) == {"ask_again", "decide_overdue"}
    assert await said(database, "release_again") == set()
    assert OrderNotPlaced in await said(database, "decide_overdue")

    await execute(database, AGES_AGO)
    assert await due(database) == {"release_again"}
    assert await said(database, "release_again") == {ReleasePackets, ReleaseAgent}
