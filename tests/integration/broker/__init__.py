"""What the saga relies on, proven for RabbitMQ and for the in-process broker alike."""
