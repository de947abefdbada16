"""`order-saga check` says nothing where all is well, and looks at the databases of the other services too."""

from tests.conftest import NewDatabase
from tests.integration.command_line.shell import Shell
from tests.integration.skewing import skew

WARNING = "warning: ORDER_SAGA_DATABASE_URL: fsync is off on the server: "


async def test_a_server_that_waits_for_no_disk_is_warned_of_and_fits_all_the_same(shell: Shell) -> None:
    fsync = await shell.sql("order_saga", "SHOW fsync")  # off where it was started for tests
    well = await shell.type("order_saga", "check")
    assert (well.code, WARNING in well.err) == (0, fsync == "off")


async def test_the_clocks_of_all_databases_are_compared(shell: Shell, new_database: NewDatabase) -> None:
    well = await shell.type("order_saga", "check")
    assert (well.code, well.out, without_warnings(well.err)) == (0, "", [])

    ahead = await new_database()
    await skew(ahead, 5)
    wrong = await shell.type("order_saga", "check", DELIVERY_WORKER_READER_URL=ahead)

    assert (wrong.code, wrong.out) == (1, "")
    assert [line.partition(" s ahead of ")[2] for line in without_warnings(wrong.err)] == [
        f"{service}'s: more than 1.0 s" for service in ("order_saga", "store_worker")
    ]


def without_warnings(told: str) -> list[str]:
    return [line for line in told.splitlines() if not line.startswith("warning: ")]
