"""What every service offers on the command line."""
