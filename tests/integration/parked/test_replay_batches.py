"""Many parked documents are replayed in batches, in their order; what a batch cannot do is done one by one."""

from messages.transport.database.transactions import Transaction
from tests.integration.parked.replays import nothing_is_requested, park
from tests.integration.toy.service import FAIL, LOOK_AGAIN, NEVER_DECIDE, bought, numbered
from tests.integration.toy.station import Station, document


async def test_many_are_replayed_in_few_transactions_and_in_order(station: Station) -> None:
    await park(station, *map(document, numbered(250)))
    async with station.running():
        await station.until_heard(250)
    assert station.toy.calls == [(100, False), (100, False), (50, False)]
    assert await station.heard() == [str(number) for number in range(250)]
    assert await station.count("parked") == 0


async def test_large_ones_are_replayed_few_at_a_time(station: Station) -> None:
    await park(station, *(document(bought("x" * size)) for size in (60_000, 10_000, 10, 10, 60_000)))
    async with station.running():
        await station.until_heard(5)
    assert station.toy.calls == [(2, False), (3, False)]


async def test_one_that_fails_again_is_found_and_takes_nothing_with_it(station: Station) -> None:
    await park(station, *(document(bought(str(number), FAIL if number == 5 else "")) for number in range(20)))
    async with station.running():
        await nothing_is_requested(station)
    assert await station.heard() == [str(number) for number in range(20) if number != 5]
    assert await station.parked() == [("handler_failed", "ValueError: cannot handle 5")]
    assert [documents for documents, _ in station.toy.calls] == [20, 10, 5, 10, 5, 2, 1, 1, 2, 4, 7]


async def test_one_that_cannot_be_read_takes_nothing_with_it(station: Station) -> None:
    await park(station, document(bought("a")), b"\xff", document(bought("b")))
    async with station.running():
        await nothing_is_requested(station)
    assert await station.batches() == [["a", "b"]]
    assert [reason for reason, _ in await station.parked()] == ["not_json"]


async def test_one_that_is_to_be_looked_at_again_is_handled_in_its_turn_alone_and_waiting(station: Station) -> None:
    await park(station, *(document(bought(text, LOOK_AGAIN if text == "b" else "")) for text in "abc"))
    async with station.running():
        await station.until_heard(3)
    assert await station.heard() == ["a", "b", "c"]
    assert await station.rows("SELECT FROM heard WHERE waiting AND text = 'b'")
    assert await station.count("parked") == 0


async def test_one_that_is_never_decided_stays(station: Station) -> None:
    await park(station, document(bought("a", NEVER_DECIDE)))
    async with station.running():
        await nothing_is_requested(station)
    assert await station.parked() == [("handler_failed", "LookAgain: still undecided: 1 of 1")]


async def test_after_a_fault_of_the_database_the_next_batch_is_half_as_large(station: Station) -> None:
    """It may have been too much for the time that a statement may take."""

    async def take_too_long(tx: Transaction) -> None:
        await tx.execute("SET LOCAL statement_timeout = 1")
        await tx.execute("SELECT pg_sleep(1)")

    station.toy.faults.append(take_too_long)
    await park(station, *map(document, numbered(8)))
    async with station.running():
        await station.until_heard(8)
    assert station.toy.calls == [(8, False), (4, False), (4, False)]
