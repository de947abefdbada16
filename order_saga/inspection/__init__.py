"""Looks across the services without changing anything: the audit, the story of an order, the clocks."""
