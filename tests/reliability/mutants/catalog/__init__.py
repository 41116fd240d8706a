"""All mutants, by area. A new area is a file with a list MUTANTS, named here."""

from __future__ import annotations

from collections.abc import Sequence

from tests.reliability.mutants.catalog import answering, ranking
from tests.reliability.mutants.mutant import Mutant

MUTANTS: Sequence[Mutant] = (*ranking.MUTANTS, *answering.MUTANTS)
