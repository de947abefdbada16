"""Scheduled work: each job on its own, each run in a transaction, and nothing that keeps one from its next run."""
