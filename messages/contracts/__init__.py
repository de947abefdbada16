"""The contracts: every message of the system, as immutable pydantic models and nothing else."""
