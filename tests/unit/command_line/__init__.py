"""What a user gets wrong at the command line is reported in one line that names it, before anything else happens."""
