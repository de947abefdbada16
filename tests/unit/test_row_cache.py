"""What may come from the cache instead of the database, and how it is checked against the rows."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest

from messages.transport.database import row_cache as row_cache_module
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.row_cache import Clock, Loaded, RowCache
from messages.transport.database.versioned import Column, Table

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Parcel(NamedTuple):
    order_id: UUID
    place: str = "shelf"
    version: int = 0


TABLE = Table("parcel", Parcel._fields, {"order_id": Column("uuid"), "place": Column("text")})


class Reading:
    """Stands for the database: says what it was asked for, and knows what it is told to."""

    def __init__(self, *rows: Parcel) -> None:
        self.rows = {row.order_id: row for row in rows}
        self.asked: list[set[UUID]] = []

    async def __call__(self, order_ids: Collection[UUID]) -> tuple[datetime, dict[UUID, Parcel]]:
        self.asked.append(set(order_ids))
        return NOON, {order_id: self.rows[order_id] for order_id in order_ids if order_id in self.rows}


@pytest.fixture
def row_cache() -> RowCache[Parcel]:
    row_cache = RowCache[Parcel](TABLE)
    row_cache.clock = Clock(lambda: 100.0)
    row_cache.clock.set(NOON, 100.0)
    return row_cache


async def test_what_was_written_is_known_without_reading(row_cache: RowCache[Parcel]) -> None:
    parcel = Parcel(uuid4())
    row_cache.put([(None, parcel)])
    known = await row_cache.load(LockMode.OPTIMISTIC, {parcel.order_id}, set(), reading := Reading())
    assert known.rows == {parcel.order_id: parcel}
    assert known.unverified == {parcel.order_id}
    assert known.now == NOON
    assert reading.asked == []


async def test_what_looks_new_is_taken_for_new(row_cache: RowCache[Parcel]) -> None:
    order_id = uuid4()
    known = await row_cache.load(LockMode.OPTIMISTIC, {order_id}, {order_id}, reading := Reading())
    assert (known.rows, known.unverified, reading.asked) == ({}, {order_id}, [])


async def test_only_what_is_not_remembered_is_read_and_then_also_what_looks_new(row_cache: RowCache[Parcel]) -> None:
    remembered, unknown, new = Parcel(uuid4()), Parcel(uuid4(), "van", 3), uuid4()
    row_cache.put([(None, remembered)])
    order_ids = {remembered.order_id, unknown.order_id, new}
    known = await row_cache.load(LockMode.OPTIMISTIC, order_ids, {new}, reading := Reading(unknown))
    assert known.rows == {remembered.order_id: remembered, unknown.order_id: unknown}
    assert known.unverified == {remembered.order_id}
    assert reading.asked == [{unknown.order_id, new}]


async def test_with_more_care_everything_is_read_and_what_was_remembered_is_forgotten(
    row_cache: RowCache[Parcel],
) -> None:
    parcel = Parcel(uuid4())
    row_cache.put([(None, parcel)])
    reading = Reading(newer := parcel._replace(version=1))
    for lock_mode in (LockMode.PESSIMISTIC, LockMode.OPTIMISTIC):
        known = await row_cache.load(lock_mode, {parcel.order_id}, set(), reading)
        assert known == Loaded(NOON, {parcel.order_id: newer}, set())
    assert reading.asked == [{parcel.order_id}] * 2


@pytest.mark.parametrize("lock_mode", [LockMode.PESSIMISTIC, LockMode.BLOCKING])
async def test_with_more_care_nothing_is_taken_for_new(row_cache: RowCache[Parcel], lock_mode: LockMode) -> None:
    parcel = Parcel(uuid4())
    known = await row_cache.load(lock_mode, {parcel.order_id}, {parcel.order_id}, Reading(parcel))
    assert known == Loaded(NOON, {parcel.order_id: parcel}, set())


async def test_without_a_fresh_clock_one_is_read() -> None:
    parcel = Parcel(uuid4())
    row_cache = RowCache[Parcel](TABLE)
    row_cache.put([(None, parcel)])
    known = await row_cache.load(LockMode.OPTIMISTIC, {parcel.order_id}, set(), reading := Reading())
    assert known == Loaded(NOON, {parcel.order_id: parcel}, {parcel.order_id})
    assert reading.asked == [set()]


def test_a_written_row_is_remembered_with_the_version_that_it_has_now(row_cache: RowCache[Parcel]) -> None:
    old = Parcel(uuid4(), version=4)
    row_cache.put([(old, old._replace(place="van"))])
    assert row_cache._rows[old.order_id] == Parcel(old.order_id, "van", 5)


def test_the_oldest_are_forgotten_first(row_cache: RowCache[Parcel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache_module, "REMEMBERED", 2)
    parcels = [Parcel(uuid4()) for _ in range(3)]
    row_cache.put((None, parcel) for parcel in parcels)
    assert list(row_cache._rows.values()) == parcels[1:]


def test_what_was_neither_read_nor_written_is_held_against_its_row(row_cache: RowCache[Parcel]) -> None:
    still, moved, read, new = Parcel(uuid4(), version=2), Parcel(uuid4()), Parcel(uuid4()), uuid4()
    rows = {row.order_id: row for row in (still, moved, read)}
    known = Loaded(NOON, rows, {still.order_id, moved.order_id, new})
    unchanged, absent = row_cache.guards(known, {moved.order_id})
    assert (unchanged.arguments, unchanged.rows) == (([still.order_id], [2]), 1)
    assert (absent.arguments, absent.rows) == (([new],), 0)
    assert row_cache.guards(known, {still.order_id, moved.order_id, new}) == []


def test_the_clock_goes_on_for_a_second() -> None:
    passed = 100.0
    clock = Clock(lambda: passed)
    assert clock.now() is None
    clock.set(NOON, 100.0)
    passed = 100.25
    assert clock.now() == NOON + timedelta(seconds=0.25)
    passed = 101.0
    assert clock.now() is None


def test_an_answer_that_took_long_does_not_set_the_clock() -> None:
    clock = Clock(lambda: 100.0)
    clock.set(NOON, 99.5)
    assert clock.now() is None
    clock.set(NOON, 99.95)
    assert clock.now() == NOON


async def test_everything_can_be_forgotten(row_cache: RowCache[Parcel]) -> None:
    parcel = Parcel(uuid4())
    row_cache.put([(None, parcel)])
    row_cache.clear()
    assert row_cache.clock.now() is None
    assert (await row_cache.load(LockMode.OPTIMISTIC, {parcel.order_id}, set(), Reading())).rows == {}
