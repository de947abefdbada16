"""Whoever orders: says requests, and waits until an outcome is heard. A program of its own, not the daemon."""
