"""Mutation testing: small faults put into the core one at a time; the fast tests must notice each.

Of the tools to be had, mutmut 3 passes over every function with a decorator: properties and context
managers, which is where this code gives back what it holds. `python -m tests.reliability.mutation`
prints the score and the survivors; `accepted.py` says why some may survive.
"""
