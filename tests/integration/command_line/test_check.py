"""`order-saga check` says nothing where all is well, and looks at the databases of the other services too."""

from tests.conftest import NewDatabase
from tests.integration.command_line.shell import Shell
from tests.integration.skewing import skew


async def test_the_clocks_of_all_databases_are_compared(shell: Shell, new_database: NewDatabase) -> None:
    well = await shell.type("order_saga", "check")
    assert (well.code, well.out, well.err) == (0, "", "")

    ahead = await new_database()
    await skew(ahead, 5)
    wrong = await shell.type("order_saga", "check", DELIVERY_WORKER_READER_URL=ahead)

    assert (wrong.code, wrong.out) == (1, "")
    assert [line.partition(" are ")[0] for line in wrong.err.splitlines()] == [
        f"the clocks of {service}'s and delivery_worker's databases" for service in ("order_saga", "store_worker")
    ]
