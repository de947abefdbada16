"""Keeps track of agents, and reserves and assigns them for orders."""
