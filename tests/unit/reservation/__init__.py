"""The answer table of the protocol, cell by cell, and what time does to a reservation."""
