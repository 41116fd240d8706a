"""Deterministic simulation: one seed gives one run, in virtual time, with every answer checked.

The reranker, cache, batcher, scheduler, fallback, answerer, LLM chain, budget and breaker are the
real ones. The engine, tokenizer, remote ranker, store and language models are simulated, and fail
as the seed says. `python -m tests.reliability.simulate --help` shows the command.
"""
