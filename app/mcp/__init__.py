"""The Model Context Protocol: reranking and answers as tools of agents."""
