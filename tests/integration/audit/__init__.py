"""The audit, on the tables of three services that have placed, refused, cancelled and delivered orders."""
