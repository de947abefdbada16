"""Keeps packets, and reserves and assigns them for orders."""
