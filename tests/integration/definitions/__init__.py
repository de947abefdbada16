"""The production definitions in a real RabbitMQ: services declare nothing, reach everything, and may do no more."""
