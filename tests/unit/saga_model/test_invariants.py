"""What must hold holds in every world that one order, or two that want the same, can come to."""

from tests.unit.saga_model.model import MANY, Model
from tests.unit.saga_model.parties import EARLY

ANY_OUTCOME = {None, "placed", "not_placed"}


def test_one_order_whose_every_message_is_doubled_and_that_may_be_cancelled() -> None:
    model = Model(orders=1, copies=2, cancel=True)
    assert model.explore(MANY) > 100_000
    assert model.outcomes == ANY_OUTCOME


def test_one_order_on_a_network_that_loses_messages_which_are_then_repeated() -> None:
    model = Model(orders=1, copies=1, cancel=True, loss=True, repeats=1)
    assert model.explore(MANY) > 20_000
    assert model.outcomes == ANY_OUTCOME


def test_two_orders_that_want_the_same_packet_and_the_same_agent() -> None:
    model = Model(orders=2, copies=1, inquiries=False, clocks=(EARLY,))
    assert model.explore(MANY) > 200_000
    assert model.outcomes == ANY_OUTCOME


def test_one_order_whose_packet_and_agent_may_be_gone_at_any_time() -> None:
    model = Model(orders=1, copies=1, cancel=True, losing=True, loss=True, repeats=1)
    assert model.explore(MANY) > 50_000
    assert model.outcomes == ANY_OUTCOME
