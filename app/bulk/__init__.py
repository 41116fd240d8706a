"""Whole files of rows, ranked in blocks; what is done survives a kill. Its entry is `run`."""
