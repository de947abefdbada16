"""Carries the messages: the process, the broker, the outbox, and the database transaction around each batch."""
