"""The database may be away at any time: what is opened waits, what is open recovers, and a COMMIT is never cut off."""
