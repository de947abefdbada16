"""The carrier of production: RabbitMQ, through aio-pika."""
