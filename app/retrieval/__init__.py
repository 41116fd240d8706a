"""Candidates for a question: stores, embedders, and their lists fused."""
