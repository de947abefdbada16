"""OrderRequested documents as any client would write them, all of one length, so that a template makes them cheap."""

from random import Random
from typing import NamedTuple

from bench.workload import Ask, sku, store_id, zone

DOCUMENT = (
    '{"type":"OrderRequested/1.0","message_id":"%s","order_id":"%s","customer_id":"customer-%06d",'
    '"store_id":"%s","zone":"%s","lines":[{"sku":"%s","quantity":1,"price_cents":249}]}'
)
ORDER_ID = b'"order_id":"'
REASON = b'"reason":"'
PLACED = b'"OrderPlaced/'
NOT_PLACED = b'"OrderNotPlaced/'


class Outcome(NamedTuple):
    """The outcome of the order of that number; `reason` is empty if it was placed."""

    number: int
    reason: str


class Documents:
    """One run's orders. An order's id is random, but for its last digits: they say which order of the run it is."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"documents {seed}")  # noqa: S311  not for secrets
        self._run = b"%04x" % self._random.getrandbits(16)

    def write(self, number: int, ask: Ask) -> bytes:
        bits = self._random.getrandbits
        order_id = f"{bits(32):08x}-{self._run.decode()}-4{bits(12):03x}-a{bits(12):03x}-{number:012x}"
        message_id = f"{bits(32):08x}-{bits(16):04x}-4{bits(12):03x}-a{bits(12):03x}-{bits(48):012x}"
        customer = bits(19)
        store, number_of_sku, where = ask
        return (DOCUMENT % (message_id, order_id, customer, store_id(store), zone(where), sku(number_of_sku))).encode()

    def read(self, body: bytes) -> Outcome | None:
        """None: it is about something else."""
        start = body.find(ORDER_ID) + len(ORDER_ID)
        if body[start + 9 : start + 13] != self._run:
            return None
        number = int(body[start + 24 : start + 36], 16)
        if PLACED in body:
            return Outcome(number, "")
        return Outcome(number, _after(body, REASON)) if NOT_PLACED in body else Outcome(number, "rejected")


def _after(body: bytes, mark: bytes) -> str:
    start = body.find(mark) + len(mark)
    return body[start : body.find(b'"', start)].decode()
