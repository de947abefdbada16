"""The delivery worker against a real PostgreSQL: which agents are sent, and which are idle afterwards."""
