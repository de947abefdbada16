"""The production broker: RabbitMQ through aio-pika, whose channel objects messages and confirms bypass."""
