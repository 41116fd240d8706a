"""Measures of a ranking, and their uncertainty."""
