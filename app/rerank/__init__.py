"""From pairs of texts to a ranking; knows nothing of HTTP."""
