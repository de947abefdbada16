"""Two daemons of one worker do things at the same time: every interleaving ends well."""
