"""The demo's own PostgreSQL: it runs as root and as a user, and nothing of it outlives the process that started it."""
