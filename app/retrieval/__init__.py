"""Candidates for a query: stores, embedders, and the fusion of lists."""
