"""The main loop of a service: one transaction a batch, acknowledged after it."""
