"""A parked document is handled again on request: with success exactly once, and otherwise it stays, with the reason."""

from collections.abc import Iterable, MutableMapping
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from messages.transport import parked
from messages.transport.daemon import housekeeping
from messages.transport.database.transactions import Transaction
from messages.transport.document import Reader
from messages.transport.replay import SIZE_BYTES, Replay
from tests.integration.parked.replays import nothing_is_requested, park
from tests.integration.toy.service import BREAK_A_RULE, FAIL, HIDE_AN_ERROR, LOOK_AGAIN, TELL_ELSEWHERE, bought
from tests.integration.toy.station import Station, document


async def test_what_was_mended_is_handled_and_its_row_deleted_in_the_same_transaction(station: Station) -> None:
    await park(station, document(bought("a", TELL_ELSEWHERE)))
    seen: list[tuple[int, int]] = []

    async def look_from_outside(_tx: Transaction) -> None:
        seen.append((await station.count("parked"), await station.count("heard")))

    station.toy.faults.append(look_from_outside)
    async with station.running():
        await station.until_count("parked", 0)
        assert await station.count("heard") == 1
        await station.until_told(1)
    assert seen == [(1, 0)]
    assert await station.heard() == ["a"]
    assert len(await station.left_in("elsewhere")) == 1


async def test_a_replay_is_handled_waiting_since_nothing_looks_again_after_it(station: Station) -> None:
    await park(station, document(bought("a", LOOK_AGAIN)))
    async with station.running():
        await station.until_heard(1)
    assert await station.count("parked") == 0


async def test_what_fails_again_stays_with_the_new_reason_and_leaves_nothing(station: Station) -> None:
    await park(station, document(bought("a", FAIL)), reason="dead_lettered")
    async with station.running():
        await nothing_is_requested(station)
    (row,) = await parked.parked(station.connection)
    assert (row.reason, row.detail, row.times) == ("handler_failed", "ValueError: cannot handle a", 2)
    assert await station.count("heard") == 0


async def test_what_fails_again_stays_whatever_its_error_says(station: Station) -> None:
    """What the database cannot keep would fail the replay of all others with it."""

    async def fail(_tx: Transaction) -> None:
        raise ValueError("a\x00b \ud800")

    station.toy.faults.append(fail)
    await park(station, document(bought("a")))
    async with station.running():
        await nothing_is_requested(station)
    assert await station.parked() == [("handler_failed", "ValueError: a\\u0000b ?")]


async def test_what_the_database_refuses_again_stays_too(station: Station) -> None:
    await park(
        station, document(bought("a", BREAK_A_RULE)), document(bought("b", HIDE_AN_ERROR)), reason="dead_lettered"
    )
    async with station.running():
        await nothing_is_requested(station)
    assert {row.reason for row in await parked.parked(station.connection)} == {"handler_failed"}
    assert await station.count("parked") == 2


async def test_what_still_cannot_be_read_stays_and_is_not_replayed_for_ever(station: Station) -> None:
    await park(station, b"\xff", document(bought()).replace(b"/1.0", b"/2.0"), reason="handler_failed")
    async with station.running() as running:
        await nothing_is_requested(station)
        done = running.counted("job_runs", job="replay", result="done")
        await running.until_counted("job_runs", int(done) + 1, job="replay", result="done")
    rows = await parked.parked(station.connection)
    assert {row.reason for row in rows} == {"not_json", "unknown_version"}
    assert {row.times for row in rows} == {2}


async def test_a_hundred_replays_do_not_wait_for_each_other(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "REPLAY_SECONDS", 600.0)
    bodies = [document(bought(str(number), FAIL if number % 2 else "")) for number in range(100)]
    await park(station, *bodies)
    async with station.running():
        await station.until_heard(50)
        await nothing_is_requested(station)
    assert await station.count("parked") == 50


async def test_a_fault_of_the_database_leaves_the_row_to_be_replayed_again(station: Station) -> None:
    async def terminate(tx: Transaction) -> None:
        await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async def collide(tx: Transaction) -> None:
        await tx.execute("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$")

    station.toy.faults.extend([terminate, collide])
    await park(station, document(bought("a")))
    async with station.running():
        await station.until_heard(1)
    assert await station.count("parked") == 0


async def test_a_row_that_one_process_replays_is_left_alone_by_another(station: Station) -> None:
    await park(station, document(bought("a")), document(bought("b")))
    first, second = await asyncpg.connect(station.url), await asyncpg.connect(station.url)
    async with first.transaction(), second.transaction():
        rows = [await parked.take_for_replay(each, 1, SIZE_BYTES) for each in (first, second, first)]
        assert await parked.take_for_replay(station.connection, 2, SIZE_BYTES) == []
    assert rows[0] != rows[1]
    assert [len(each) for each in rows] == [1, 1, 1]
    assert rows[2] == rows[0]
    for connection in (first, second):
        await connection.close()


async def test_a_replay_whose_commit_fails_keeps_the_row_and_is_not_said_to_be_done(own_station: Station) -> None:
    await own_station.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$"
    )
    await own_station.rows(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON heard DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    await park(own_station, document(bought("a")))
    with capture_logs() as logs:
        async with own_station.running() as running:
            await running.until_counted("job_runs", 1, job="replay", result="failed")
            (row,) = await parked.parked(own_station.connection)
            assert (await own_station.count("heard"), own_station.texts(), replayed(logs)) == (0, [], [])
            await own_station.rows("DROP TRIGGER refuse ON heard")
            await running.until_counted("job_runs", 1, job="replay", result="done")
    assert replayed(logs) == [row.id]


def replayed(logs: Iterable[MutableMapping[str, Any]]) -> list[int]:
    """The ids of what the log says was replayed."""
    return [line["parked_id"] for line in logs if line["event"] == "replayed"]


async def test_a_replay_locks_its_order_before_it_is_handled(station: Station) -> None:
    message = bought("a")
    await station.rows("INSERT INTO purchase VALUES ($1, 0)", message.order_id)
    other = await asyncpg.connect(station.url)
    await other.execute("BEGIN; UPDATE purchase SET times = 1")
    await park(station, document(message))
    async with station.running():
        await station.until(station.somebody_waits)
        assert not station.toy.entered.is_set()
        await other.execute("COMMIT")
        await station.until_heard(1)
    await other.close()


async def test_a_discarded_document_is_not_replayed(station: Station) -> None:
    await park(station, document(bought("a")))
    (row,) = await parked.parked(station.connection)
    assert await parked.discard(station.connection, [row.id]) == 1
    async with station.running() as running:
        await running.until_counted("job_runs", 2, job="replay", result="done")
    assert await station.heard() == []


async def test_what_was_asked_for_first_is_replayed_first(station: Station) -> None:
    await park(station, document(bought("a")), document(bought("b")))
    earlier, later = [row.id for row in await parked.parked(station.connection)]
    for parked_id in (later, earlier):
        assert await parked.request_replay(station.connection, [parked_id]) == 1
    await station.rows("UPDATE parked SET times = times WHERE id = $1", later)  # which is last in the table now
    taken = await parked.take_for_replay(station.connection, 2, SIZE_BYTES)
    assert [row.id for row in taken] == [later, earlier]


async def test_what_was_asked_for_at_once_is_replayed_in_the_order_of_parking(station: Station) -> None:
    await park(station, *(document(bought(str(number))) for number in range(20)))
    ids = [row.id for row in await parked.parked(station.connection)]
    await station.rows("UPDATE parked SET times = times WHERE id <= $1", ids[9])  # which are last in the table now
    assert await parked.request_replay_of_all(station.connection, "handler_failed", None) == 20
    taken = await parked.take_for_replay(station.connection, 20, SIZE_BYTES)
    assert [row.id for row in taken] == ids


async def test_a_request_that_another_process_has_just_met_is_nothing_to_do(station: Station) -> None:
    service = station.toy.service()
    handled = await Replay(service, Reader(service.handlers)).next(station.connection)
    assert not handled.more
