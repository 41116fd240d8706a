"""rerankd: a self-hosted HTTP reranking service."""

__version__ = "0.1.0"
