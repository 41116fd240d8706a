"""Fail the first, the second, the third … call among all that a request makes, until none is left.

After each failure the same request must be answered rightly, and nothing may be left behind. The
whole service runs in this process; only the language model and the other ranker are simulated.
"""
