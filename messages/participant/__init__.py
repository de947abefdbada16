"""The participant's half of the protocol, shared by the workers: reservations, and what becomes of them."""
