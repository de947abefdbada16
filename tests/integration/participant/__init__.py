"""What both workers have in common, against a real PostgreSQL: a reservation's row, statements, and scheduled work."""
