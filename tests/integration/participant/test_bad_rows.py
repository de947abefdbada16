"""A reservation that cannot be read or changed is put off, and never blocks the rest."""

import asyncpg
import pytest

from tests.integration.participant.bad_rows import make_bad, make_unreadable
from tests.integration.participant.reservations import expire_all, reserved_orders
from tests.integration.workers import Worker


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param("OF state", id="one that can be put off"),
        pytest.param("", id="one that cannot even be put off"),
    ],
)
async def test_one_bad_row_never_blocks_the_rest(store: Worker, columns: str) -> None:
    bad, *good = await reserved_orders(store, 4)
    await expire_all(store)
    await make_bad(store, bad, columns)

    answers = await store.run("sweep")

    assert sorted(answer.order_id for answer in answers if answer.order_id) == sorted(good)
    assert store.alarms == ["cannot_sweep"]
    assert await store.holdings() == {bad: "reserved", **dict.fromkeys(good, "expired")}


async def test_one_row_that_cannot_be_read_never_blocks_the_rest(store: Worker) -> None:
    bad, *good = await reserved_orders(store, 4)
    await expire_all(store)
    await make_unreadable(store, bad)

    answers = await store.run("sweep")

    assert sorted(answer.order_id for answer in answers if answer.order_id) == sorted(good)
    await store.run("sweep")
    assert store.alarms == ["cannot_sweep"], "it is put off"


async def test_a_bad_row_is_put_off_and_not_tried_at_every_turn(store: Worker) -> None:
    (bad,) = await reserved_orders(store, 1)
    await expire_all(store)
    await make_bad(store, bad, "OF state")

    await store.run("sweep")
    assert store.alarms == ["cannot_sweep"]
    await store.run("sweep")
    assert store.alarms == ["cannot_sweep"]


@pytest.mark.parametrize("putting_off", [False, True], ids=["while it is swept", "while it is put off"])
async def test_a_failing_database_makes_no_reservation_a_culprit(store: Worker, putting_off: bool) -> None:
    await reserved_orders(store, 1)
    await expire_all(store)
    await store.execute(f"""
        CREATE FUNCTION run_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'as arranged' USING ERRCODE = CASE
                WHEN {putting_off} AND NEW.state <> OLD.state THEN 'check_violation' ELSE 'out_of_memory' END;
        END $$;
        CREATE TRIGGER runs_out BEFORE UPDATE ON reservation FOR EACH ROW
            WHEN ({putting_off} OR NEW.state <> OLD.state) EXECUTE FUNCTION run_out();
    """)

    with pytest.raises(asyncpg.OutOfMemoryError):
        await store.run("sweep")


async def test_a_whole_batch_of_bad_rows_does_not_keep_the_sweeper_spinning(store: Worker) -> None:
    await reserved_orders(store, 200)
    await expire_all(store)
    await store.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'bad row' USING ERRCODE = 'check_violation'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON reservation FOR EACH ROW EXECUTE FUNCTION refuse();
    """)

    assert await store.run("sweep") == []
    assert len(store.alarms) == 200
