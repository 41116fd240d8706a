"""Answerer, chain of language models, breaker and budget."""

from __future__ import annotations

from tests.reliability.mutants.mutant import Mutant, module, tests

SIMULATE = module("tests.reliability.simulate", "--count", "400000", "--pairs", "4000")

MUTANTS = [
    Mutant(
        "what a call held of the budget is never given back",
        "answer/llm/budget.py",
        "        self._held -= held\n",
        "",
        SIMULATE,
    ),
    Mutant(
        "what a call spent is not counted",
        "answer/llm/budget.py",
        "        self._spent += spent\n",
        "",
        tests("tests/answer/llm/test_budget.py"),
    ),
    Mutant(
        "the budget is not asked before a call",
        "answer/llm/budget.py",
        "if tokens > self.left:",
        "if False:",
        SIMULATE,
    ),
    Mutant(
        "a breaker never closes",
        "answer/llm/breaker.py",
        "self._failures, self._open_until, self._probing = 0, None, False",
        "self._failures, self._probing = 0, False",
        SIMULATE,
    ),
    Mutant(
        "a breaker whose one call was withdrawn stays open for ever",
        "answer/llm/breaker.py",
        '        """Neither: the caller went away."""\n        self._probing = False\n',
        '        """Neither: the caller went away."""\n',
        SIMULATE,
    ),
    Mutant(
        "an answer is kept without its question",
        "answer/writing.py",
        "key_of([*settings, question.text, ",
        "key_of([*settings, ",
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
