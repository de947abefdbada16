"""Keeps track of agents, and lends them to orders."""
