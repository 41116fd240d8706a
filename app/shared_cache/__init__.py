"""Scores that replicas share through a server such as Redis; each goes on alone without it."""
