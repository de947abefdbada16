"""`check` proves settings, database and broker, and says in one sentence each what does not fit."""
