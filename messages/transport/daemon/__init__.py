"""A service as a running process."""
