"""Faults put into a copy of `app/` by name, each of which a check must notice.

A check that cannot fail proves nothing. To add a mutant, add an entry to a list of `catalog/`: the
file, the text that stands there exactly once, what stands there instead, and the check that must
fail then. `python -m tests.reliability.mutants` runs them all and prints a table.
"""
