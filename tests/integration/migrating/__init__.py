"""Migrations are applied once, in order, by however many processes at once, and never change afterwards."""
