"""A tuple that is replaced quickly is replaced as any named tuple is."""

from typing import NamedTuple

import pytest

from messages.transport.replacing import quickly_replaced


@quickly_replaced
class Parcel(NamedTuple):
    place: str
    weight: int = 1
    version: int = 0

    @property
    def heavy(self) -> bool:
        return self.weight > 20


def test_what_is_replaced_changes_and_all_else_stays():
    parcel = Parcel("shelf", 30)
    moved = parcel._replace(place="van", version=2)
    assert moved == Parcel("van", 30, 2)
    assert type(moved) is Parcel
    assert moved.heavy
    assert parcel == Parcel("shelf", 30)


def test_without_changes_it_is_equal():
    assert Parcel("shelf")._replace() == Parcel("shelf")


def test_what_has_no_such_field_is_refused():
    with pytest.raises(KeyError, match="colour"):
        Parcel("shelf")._replace(colour="red")  # type: ignore[call-arg]
