"""Does reranking help here? Measuring, tuning and calibrating on labelled data."""
