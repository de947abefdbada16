"""Looks across the services without changing anything: the audit, an order's timeline, the clocks."""
