"""The order saga by itself, on a real PostgreSQL."""
