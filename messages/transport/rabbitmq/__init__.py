"""The production broker: RabbitMQ on aio-pika connections; messages and confirms bypass its channel objects."""
