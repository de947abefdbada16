"""How the services are run: containers, one process for a first look, and what operators need."""
