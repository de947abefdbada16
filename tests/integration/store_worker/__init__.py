"""The store worker against a real PostgreSQL: what it answers, and where the packets are afterwards."""
