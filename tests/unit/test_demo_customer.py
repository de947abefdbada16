"""The demo's customer waits for answers, and not for ever."""

import asyncio
import json

from deploy.definitions import all_services
from deploy.demo import customer
from deploy.demo.conversation import Answer
from deploy.demo.customer import Customer
from deploy.demo.script import step_of
from deploy.demo.stalling import StallingBroker
from deploy.demo.system import System, _listen
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import topology_of

ORDER = {
    "customer_id": "ada",
    "store_id": "campus",
    "zone": "centre",
    "lines": [{"sku": "milk", "quantity": 1, "price_cents": 129}],
}


async def test_a_line_that_nobody_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(customer, "PATIENCE_SECONDS", 0.05)
    broker = InProcessBroker(topology_of(all_services()))
    system = System(broker, await _listen(broker), StallingBroker(broker.beside(), "store_worker.settle"), {})
    answers: list[Answer] = []
    async with asyncio.timeout(60):
        await Customer(system, answers.append, print).play([step_of(1, json.dumps(ORDER).encode())])
    assert [(answer.word, answer.is_expected) for answer in answers] == [("unanswered", False)]
