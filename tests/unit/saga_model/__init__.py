"""A model check of the production decisions of saga and participants, and proof that it would notice a wrong one."""
