"""The commands as a user types them, each in a process of its own, beside a running system on real servers."""
