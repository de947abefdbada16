"""The production broker: RabbitMQ on aio-pika connections; messages and confirms bypass its channel objects.

RabbitPublisher ──────────────────────▶ ConfirmingChannel ─┐
                                                           ├─▶ FastChannel ─▶ FastLane ─▶ socket
RabbitSubscription ─▶ ChannelConsumer ─▶ Arrivals ─────────┘                     └─▶ aiormq: what is left

RabbitBroker has a few of those on the left, on three connections, each a FastConnection that a SupervisedConnection
keeps open. `frames` encodes and decodes.
"""
