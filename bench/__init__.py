"""Measures how fast the system is: on real servers, from outside, and only if the audit is clean."""
