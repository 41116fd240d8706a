"""Compares two periods of a service: its scores, its answers, and the verdicts on them."""
