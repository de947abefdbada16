"""Which order asks for what: the same for the same seed, so that what must come out is known beforehand."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

STORES = 20
SKUS = 500
ZONES = 20


class Ask(NamedTuple):
    """One packet of one sku of one store, to be delivered in one zone; all by number."""

    store: int
    sku: int
    zone: int


@dataclass(frozen=True, slots=True)
class Workload:
    """So many orders of one packet each, spread evenly over 10,000 shelves and 20 zones."""

    orders: int
    seed: int
    hot_share: float = 0.0
    """The part of the orders that wants the one sku of the one store."""

    def asks(self) -> Iterator[Ask]:
        """What each order asks for, in the order in which they are sent."""
        choose = random.Random(self.seed)  # noqa: S311  a schedule that can be repeated is the point
        for _ in range(self.orders):
            hot = choose.random() < self.hot_share
            shelf = 0 if hot else choose.randrange(STORES * SKUS)
            yield Ask(shelf // SKUS, shelf % SKUS, choose.randrange(ZONES))

    def demand(self) -> tuple[Counter[tuple[int, int]], Counter[int]]:
        """Packets by (store, sku), and agents by zone, that all orders together want."""
        packets: Counter[tuple[int, int]] = Counter()
        agents: Counter[int] = Counter()
        for ask in self.asks():
            packets[ask.store, ask.sku] += 1
            agents[ask.zone] += 1
        return packets, agents


def store_id(store: int) -> str:
    return f"store-{store:03}"


def sku(number: int) -> str:
    return f"sku-{number:04}"


def zone(number: int) -> str:
    return f"zone-{number:03}"
