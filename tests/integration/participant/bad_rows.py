"""Reservations that cannot be changed, or not even be read."""

from uuid import UUID

from tests.integration.workers import Worker


async def make_bad(store: Worker, order: UUID, columns: str) -> None:
    """From now on the database refuses to change these columns of one order's reservation."""
    await store.execute(f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'bad row' USING ERRCODE = 'check_violation'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE {columns} ON reservation
            FOR EACH ROW WHEN (OLD.order_id = '{order}') EXECUTE FUNCTION refuse();
    """)


async def make_unreadable(store: Worker, order: UUID) -> None:
    """A state that only another release knows."""
    for constraint in ("reservation_state_check", "holds_units", "looked_after"):
        await store.execute(f"ALTER TABLE reservation DROP CONSTRAINT {constraint}")
    await store.execute("UPDATE reservation SET state = 'lost' WHERE order_id = $1", order)
