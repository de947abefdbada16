"""The in-process broker: the same guarantees, with nothing to install."""
