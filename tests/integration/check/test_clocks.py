"""`order-saga check` compares the clocks of the services' databases with each other."""

import pytest

from messages.transport.database.clock_offset import ClockOffset
from order_saga.inspection.clocks import clock_problems, disagreements
from tests.integration.skewing import skew
from tests.integration.small_system import Urls, databases


def offset(seconds: float, uncertain: float = 0.0) -> ClockOffset:
    return ClockOffset(seconds - uncertain, seconds + uncertain)


@pytest.mark.parametrize(
    ("here", "there", "wrong"),
    [
        (offset(0), offset(0.9), False),
        (offset(0), offset(1.1), True),
        (offset(0), offset(-1.1), True),
        (offset(0.6), offset(-0.6), True),
        (offset(5), offset(5.5), False),
        (offset(0, 0.5), offset(1.9, 0.5), False),
        (offset(0, 0.5), offset(2.1, 0.5), True),
    ],
)
def test_what_certainly_differs_by_more_than_a_second_is_told(
    here: ClockOffset, there: ClockOffset, wrong: bool
) -> None:
    assert bool(disagreements({"store_worker": here, "delivery_worker": there})) == wrong


def test_every_pair_is_compared() -> None:
    told = disagreements({"order_saga": offset(0), "store_worker": offset(0.5), "delivery_worker": offset(4)})
    assert told == [
        "the clock of delivery_worker's database is 4.0 s ahead of order_saga's: more than 1.0 s",
        "the clock of delivery_worker's database is 3.5 s ahead of store_worker's: more than 1.0 s",
    ]


def know(monkeypatch: pytest.MonkeyPatch, urls: Urls) -> None:
    for service in ("ORDER_SAGA", "STORE_WORKER", "DELIVERY_WORKER"):
        monkeypatch.delenv(f"{service}_READER_URL", raising=False)
        monkeypatch.delenv(f"{service}_DATABASE_URL", raising=False)
    for service, url in urls.items():
        monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", url)


async def test_databases_that_agree_with_their_hosts_and_not_with_each_other_are_found(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with databases(postgres_url) as urls:
        know(monkeypatch, urls)
        assert await clock_problems() == []
        await skew(urls["store_worker"], 0.95)
        await skew(urls["delivery_worker"], -0.95)
        (problem,) = await clock_problems()
    # By less than they are, as much as asking took.
    assert problem.startswith("the clock of store_worker's database is 1.")
    assert problem.endswith(" s ahead of delivery_worker's: more than 1.0 s")


NOWHERE = "postgresql://postgres@127.0.0.1:1/nowhere"


async def test_only_what_is_known_is_compared_and_what_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, {"order_saga": NOWHERE, "store_worker": NOWHERE, "delivery_worker": "mysql://nowhere"})
    store, delivery = await clock_problems()
    assert store.startswith("STORE_WORKER_DATABASE_URL: ")
    assert delivery.startswith("DELIVERY_WORKER_DATABASE_URL: ")


async def test_a_readers_url_of_the_orchestrator_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, {"order_saga": NOWHERE})
    monkeypatch.setenv("ORDER_SAGA_READER_URL", NOWHERE)
    (problem,) = await clock_problems()
    assert problem.startswith("ORDER_SAGA_READER_URL: ")
