"""The formats that language models speak."""
