"""Readers outlive later minor versions, but no other major one."""

from uuid import UUID

import pytest

from messages.transport.incoming import Incoming, Malformed
from tests.unit.contracts.examples import MESSAGES, example, read


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_fields_of_a_later_minor_version_are_tolerated(name: str) -> None:
    later = read(name, type=f"{name}/1.7", brought_by={"a later": ["version"]})

    now = read(name)
    assert isinstance(later, Incoming)
    assert isinstance(now, Incoming)
    assert later.message == now.message


@pytest.mark.parametrize("name", sorted(MESSAGES))
@pytest.mark.parametrize("major", ["0", "2", "11"])
def test_another_major_version_is_not_understood(name: str, major: str) -> None:
    heard = read(name, type=f"{name}/{major}.0")

    assert isinstance(heard, Malformed)
    assert heard.reason == "unknown_version"
    assert heard.order_id == (UUID(example(name)["order_id"]) if "order_id" in example(name) else None)
