"""Judged data, in whichever form it comes."""
