"""From a question to an answer: candidates from a store, the best of them, and words from those."""
