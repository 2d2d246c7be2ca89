"""Torture: interrupts at random moments, and kills. `python -m tests.torture` prints the tables."""
