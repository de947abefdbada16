"""PostgreSQL: connections, transactions, writes with versions, and migrations."""
