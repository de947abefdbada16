"""A toy on the real transport: a service of its own, and a station to run it on."""
