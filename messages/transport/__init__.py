"""Carries the messages: the process, the broker, the outbox, and the database transaction around each batch.

what arrives      broker, provenance, strict_json, document, incoming
how it is handled batches (the loop), service (what a service is), handled (what its handlers return), database
what goes out     outbox, publisher, timeline
what went wrong   faults, parked, replay, dead_letters
who carries it    rabbitmq, in_process; between which queues: addresses, topology
who runs it       daemon, settings, metrics; by hand: command_line; as clients do: edge
"""
