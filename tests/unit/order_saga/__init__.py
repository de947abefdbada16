"""Each path of the saga, for any participants, without a server, a clock or a mock."""
