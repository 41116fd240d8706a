"""The client of a rerankd service: `from rerankd.client import Client, AsyncClient`."""

__version__ = "0.1.0"
