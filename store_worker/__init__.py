"""Keeps packets, and lends them to orders."""
