"""The audit's rules find every kind of corruption and name it, and report nothing of a clean system."""
