"""How changed rows become statements: a value that all share is sent once, an unchanged column not at all."""

from typing import NamedTuple
from uuid import UUID, uuid4

from messages.participant import rows as reservation_rows
from messages.participant.reservation import Reservation
from messages.transport.database.versioned import Column, Table
from order_saga import rows
from order_saga.state import Saga


class Parcel(NamedTuple):
    order_id: UUID
    place: str = "shelf"
    labels: tuple[str, ...] = ()
    version: int = 0


TABLE = Table(
    "parcel",
    Parcel._fields,
    {
        "order_id": Column("uuid"),
        "place": Column("text", derived=("lent", "{} <> 'shelf'")),
        "labels": Column("text", ",".join, "string_to_array({}, ',')"),
    },
    now="changed_at",
)


def test_rows_are_created_in_the_order_of_the_key() -> None:
    rows = [Parcel(uuid4(), labels=("a", "b")), Parcel(uuid4(), labels=("c",))]
    (write,) = TABLE.insert(rows)
    assert write.sql == (
        "INSERT INTO parcel (order_id, place, lent, labels, changed_at)"
        " SELECT new.order_id, new.place, new.place <> 'shelf', string_to_array(new.labels, ','), clock_timestamp()"
        " FROM (SELECT order_id, CASE cardinality($2::text[]) WHEN 1 THEN ($2::text[])[1] ELSE place END AS place,"
        " CASE cardinality($3::text[]) WHEN 1 THEN ($3::text[])[1] ELSE labels END AS labels"
        " FROM unnest($1::uuid[], $2::text[], $3::text[]) AS given (order_id, place, labels)) AS new"
        " ORDER BY order_id RETURNING 1"
    )
    assert write.arguments == [[row.order_id for row in rows], ["shelf"], ["a,b", "c"]]
    assert write.rows == 2


def test_only_what_has_changed_is_written_and_only_on_the_version_that_was_read() -> None:
    rows = [Parcel(uuid4(), version=3), Parcel(uuid4(), version=4)]
    (write,) = TABLE.update((row, row._replace(place="van")) for row in rows)
    assert write.sql == (
        "UPDATE parcel AS old SET version = old.version + 1, place = new.place, lent = new.place <> 'shelf',"
        " changed_at = clock_timestamp() FROM (SELECT order_id,"
        " CASE cardinality($2::integer[]) WHEN 1 THEN ($2::integer[])[1] ELSE version END AS version,"
        " CASE cardinality($3::text[]) WHEN 1 THEN ($3::text[])[1] ELSE place END AS place"
        " FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS given (order_id, version, place)) AS new"
        " WHERE old.order_id = new.order_id AND old.version = new.version RETURNING 1"
    )
    assert write.arguments == [[row.order_id for row in rows], [3, 4], ["van"]]


def test_rows_that_change_in_other_ways_are_written_together() -> None:
    moved, labelled = Parcel(uuid4()), Parcel(uuid4())
    (write,) = TABLE.update([(moved, moved._replace(place="van")), (labelled, labelled._replace(labels=("a",)))])
    assert write.arguments == [[moved.order_id, labelled.order_id], [0], ["van", "shelf"], ["", "a"]]


def test_what_only_the_first_and_the_last_have_in_common_travels_for_each() -> None:
    rows = [Parcel(uuid4()) for _ in range(3)]
    (write,) = TABLE.update((row, row._replace(place=place)) for row, place in zip(rows, ("x", "y", "x"), strict=True))
    assert write.arguments[2] == ["x", "y", "x"]


def test_how_a_statement_reads_depends_on_nothing_but_the_columns_that_change() -> None:
    one, two = (Parcel(uuid4(), version=version) for version in (1, 2))
    alike = TABLE.update([(one, one._replace(place="van")), (two, two._replace(place="van"))])
    different = TABLE.update([(two, two._replace(place="van")), (one, one._replace(place="cart"))])
    alone = TABLE.update([(one, one._replace(place="van"))])
    assert alike[0].sql == different[0].sql == alone[0].sql


def test_what_has_not_changed_is_not_written() -> None:
    row = Parcel(uuid4())
    assert TABLE.update([(row, row)]) == []
    assert TABLE.update([]) == []
    assert TABLE.insert([]) == []


def test_what_is_not_written_can_be_held_against_its_version_or_its_absence() -> None:
    rows = [Parcel(uuid4(), version=3), Parcel(uuid4())]
    (unchanged,) = TABLE.unchanged(rows)
    assert unchanged.arguments == ([rows[0].order_id, rows[1].order_id], [3, 0])
    assert unchanged.rows == 2
    (absent,) = TABLE.absent({rows[0].order_id})
    assert (absent.arguments, absent.rows) == (([rows[0].order_id],), 0)
    assert TABLE.unchanged([]) == TABLE.absent([]) == []


def test_the_fields_of_a_row_follow_its_columns_because_it_is_read_by_position() -> None:
    """One out of place would take another's value: the version's, say, and each write would collide for ever."""
    assert Saga._fields == (*rows.COLUMNS, "version")
    assert Reservation._fields == (*reservation_rows.COLUMNS, "version", "unfit")
