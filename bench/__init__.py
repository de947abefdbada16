"""How fast the system is: measured on real servers, from outside, with the audit clean or no figure."""
