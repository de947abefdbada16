"""The exchanges of the in-process broker: which queues a message reaches."""

from collections import deque
from collections.abc import Iterator, Sequence

from messages.transport.addresses import Address
from messages.transport.broker import Envelope
from messages.transport.in_process.queues import Consumer, Kept, KeptQueue
from messages.transport.provenance import Death
from messages.transport.topology import Binding, Topology


class Exchanges:
    """The shared server side of in-process brokers, as a RabbitMQ server would be."""

    def __init__(self, topology: Topology) -> None:
        self._kinds: dict[str, str] = {}
        self._bindings: dict[Binding, None] = {}
        self._queues: dict[str, KeptQueue] = {}
        self._consumers: dict[str, deque[Consumer]] = {}
        self.declare(topology)

    def declare(self, topology: Topology) -> None:
        """Create what does not exist yet; consumers waiting for a queue are served."""
        self._kinds |= {exchange.name: exchange.kind for exchange in topology.exchanges}
        self._bindings |= dict.fromkeys(topology.bindings)
        for queue in topology.queues:
            if queue.name not in self._queues:
                self._queues[queue.name] = KeptQueue(queue, self._consuming(queue.name), self.route)

    def delete(self, name: str) -> None:
        """Delete a queue with all that is in it; its consumers lose what they hold and wait until it exists again."""
        del self._queues[name]
        self._bindings = {binding: None for binding in self._bindings if binding.queue != name}
        for consumer in list(self._consuming(name)):
            consumer.on_lost()

    def has(self, name: str) -> bool:
        return name in self._queues

    def attach(self, name: str, consumer: Consumer) -> None:
        self._consuming(name).append(consumer)
        self.serve(name)

    def detach(self, name: str, consumer: Consumer) -> None:
        """Take the consumer off the queue; what it had not acknowledged is requeued."""
        self._consuming(name).remove(consumer)
        if queue := self._queues.get(name):
            queue.take_back(consumer.unacknowledged.values())

    def serve(self, name: str) -> None:
        if queue := self._queues.get(name):
            queue.serve()

    def route(self, to: Address, envelope: Envelope, death: Death | None = None) -> bool:
        """Put it into each queue it is bound for, once; False if there is none. `death`: a queue dead-lettered it."""
        queues = dict.fromkeys(self._destinations(to))
        for queue in queues:
            queue.put(Kept(envelope, to.exchange, death))
        return bool(queues)

    def _destinations(self, to: Address) -> Iterator[KeptQueue]:
        for binding in self._bindings:
            if binding.exchange == to.exchange and self._matches(binding, to.key):
                yield self._queues[binding.queue]

    def _matches(self, binding: Binding, key: str) -> bool:
        if self._kinds[binding.exchange] == "topic":
            return topic_matches(binding.key.split("."), key.split("."))
        return binding.key == key

    def _consuming(self, name: str) -> deque[Consumer]:
        return self._consumers.setdefault(name, deque())


def topic_matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """`*` stands for one word, `#` for any number of them."""
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(topic_matches(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and topic_matches(rest, words[1:])
