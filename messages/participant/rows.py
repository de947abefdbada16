"""A reservation as a row of its table, and back."""

from asyncpg import Record

from messages.participant.reservation import Reservation, State
from messages.transport.database.versioned import Column, Table

STATES = {state.value: state for state in State}


def reservation_of(row: Record) -> Reservation:
    """From a row of the clock, the columns of `READ`, and why a unit is unfit."""
    _, order_id, state, reason, unit_ids, *rest = row
    return Reservation(order_id, STATES[state], reason, tuple(unit_ids), *rest)


COLUMNS = {
    "order_id": Column("uuid"),
    "state": Column("text"),
    "reason": Column("text"),
    "unit_ids": Column("text", ",".join, "string_to_array({}, ',')"),  # no identifier contains a comma
    "expires_at": Column("timestamptz"),
    "not_after": Column("timestamptz"),
    "assigned_at": Column("timestamptz"),
    "completed": Column("boolean"),
    "inquiries": Column("smallint"),
    "due_at": Column("timestamptz"),
    "forget_at": Column("timestamptz"),
    "traceparent": Column("text"),
}
TABLE = Table("reservation", Reservation._fields, COLUMNS, now="changed_at")
READ = f"{', '.join(COLUMNS)}, version"
"""The columns of a reservation, in the order of its fields, without `unfit`, which is no column."""
