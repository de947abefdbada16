"""A database that cannot be reached is told with its place, and the next attempt begins with the next host."""

import pytest

from messages.transport.database.hosts import Hosts
from messages.transport.faults import one_line


async def test_each_attempt_names_its_hosts_in_the_order_of_trying_and_no_password() -> None:
    hosts = Hosts("postgresql://toy:secret@127.0.0.1:1,127.0.0.1:2/orders")
    for places in ("127.0.0.1:1,127.0.0.1:2/orders", "127.0.0.1:2,127.0.0.1:1/orders"):
        with pytest.raises(ConnectionRefusedError) as refused:
            await hosts.connect()
        assert one_line(refused.value).endswith(f" ({places})")
        assert "secret" not in one_line(refused.value)


async def test_of_a_url_whose_place_may_hold_the_password_none_is_told() -> None:
    with pytest.raises(ConnectionRefusedError) as refused:
        await Hosts("postgresql://127.0.0.1:1/orders?user=toy&password=sec@ret").connect()
    assert "orders" not in one_line(refused.value)
