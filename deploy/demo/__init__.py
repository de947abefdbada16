"""The whole system in one process, on an embedded PostgreSQL: what a newcomer sees first."""
