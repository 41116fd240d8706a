"""Answerer, chain of language models, breaker and budget."""

from __future__ import annotations

from tests.reliability.mutants.mutant import Mutant, simulate, tests

SIMULATE = simulate(300_000)

MUTANTS = [
    Mutant(
        "what a call held of the budget is never given back",
        "llm/budget.py",
        "(hold.tokens if hold.day == page.day else 0)",
        "0",
        SIMULATE,
    ),
    Mutant(
        "what a call spent is not counted",
        "llm/budget.py",
        "return page.plus(spent - (hold",
        "return page.plus(0 - (hold",
        tests("tests/llm/test_budget.py"),
    ),
    Mutant(
        "the budget is not asked before a call",
        "llm/budget.py",
        "if tokens > self._limit - page.tokens:",
        "if False:",
        SIMULATE,
    ),
    Mutant(
        "a breaker never closes",
        "llm/breaker.py",
        "self._failures, self._open_until, self._probing = 0, None, False",
        "self._failures, self._probing = 0, False",
        SIMULATE,
    ),
    Mutant(
        "a breaker whose one call was withdrawn stays open for ever",
        "llm/breaker.py",
        '        """Neither: the caller went away."""\n        self._probing = False\n',
        '        """Neither: the caller went away."""\n',
        SIMULATE,
    ),
    Mutant(
        "a clock that goes back empties the meter",
        "llm/ledger.py",
        "return Page(today, 0) if today > self.day else self",
        "return Page(today, 0) if today != self.day else self",
        SIMULATE,
    ),
    Mutant(
        "a slot for a language model is not given back on failure",
        "llm/slots.py",
        "        try:\n            yield\n        finally:\n            self._observe(now()",
        "        yield\n        if True:\n            self._observe(now()",
        SIMULATE,
    ),
    Mutant(
        "an answer is kept without its question",
        "answer/cache.py",
        "question.text, str(len(turns))",
        "str(len(turns))",
        SIMULATE,
    ),
    Mutant(
        "a citation of a passage that is not there is kept",
        "answer/citations.py",
        "if 1 <= number <= self._sources]",
        "if 1 <= number]",
        tests("tests/answer/test_citations.py"),
    ),
]
