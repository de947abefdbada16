"""What the services say to each other, what carries it, and how a participant keeps its word."""
