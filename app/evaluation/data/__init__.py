"""Judged data in its different formats."""
