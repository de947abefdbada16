"""Reading is strict and never fails; what is written reads back."""
