"""Calls to other services: when they are repeated, and how their answers are read."""
