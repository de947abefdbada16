"""How the tests come by a real PostgreSQL and a real RabbitMQ, and how nothing of them stays behind."""
