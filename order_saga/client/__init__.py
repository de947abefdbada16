"""The ordering client: publishes requests and waits for their outcomes. A program of its own, not the daemon."""
