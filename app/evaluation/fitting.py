"""Fits a calibration to logits and labels, and measures it on queries outside the fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from app.evaluation.data.judged import Judged, Orders, permuted
from app.evaluation.measures.measures import Values
from app.evaluation.measures.reliability import Labels, brier, calibration_error
from app.evaluation.problems import NotMeasurable
from app.evaluation.scoring import Answer
from app.rerank.calibration import Calibration, Isotonic, Platt
from app.rerank.query import UNSCORED, probability

FOLDS = 5
# The facts of a fit on some of the folds, which is not written to a file.
IN_PASSING = {
    "model": "none",
    "queries": 1,
    "pairs": 1,
    "relevant": 1,
    "error_before": 0.0,
    "error_after": 0.0,
}
Method = Literal["platt", "isotonic"]
Curve = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pairs of all queries; pairs with the same owner belong to queries with the same text."""

    logits: Values
    labels: Labels
    owners: NDArray[np.int64]

    @property
    def queries(self) -> int:
        return len(np.unique(self.owners))

    def only(self, chosen: NDArray[np.bool_]) -> Labelled:
        return Labelled(self.logits[chosen], self.labels[chosen], self.owners[chosen])


@dataclass(frozen=True, slots=True)
class Fit:
    calibration: Calibration
    # Probabilities of all pairs: without calibration, and by a fit without their query.
    before: Values
    after: Values


def collect(judged: Judged, orders: Orders, answers: Mapping[str, Answer]) -> Labelled:
    """All candidates that have a score; a candidate without a judgement is not relevant."""
    logits, labels, owners = [], [], []
    for owner, query in zip(judged.alike(), judged.queries, strict=True):
        relevant = set(judged.relevant(query))
        scores = answers[query].scores if orders[query] else ()
        for name, logit in zip(orders[query], scores, strict=True):
            if logit != UNSCORED:
                logits.append(logit)
                labels.append(name in relevant)
                owners.append(owner)
    return Labelled(np.array(logits, dtype=float), np.array(labels, dtype=bool), np.array(owners))


def fit(labelled: Labelled, method: Method | None, model: str, seed: int) -> Fit:
    """`method` None: the method with the better Brier score on unseen queries."""
    check(labelled)
    unseen = {method: cross_fit(labelled, method, seed)} if method else try_both(labelled, seed)
    chosen = min(unseen, key=lambda name: brier(unseen[name], labelled.labels))
    before, after = apply(probability, labelled.logits), unseen[chosen]
    facts = {
        "model": model,
        "queries": labelled.queries,
        "pairs": len(labelled.labels),
        "relevant": int(labelled.labels.sum()),
        "error_before": round(calibration_error(before, labelled.labels), 6),
        "error_after": round(calibration_error(after, labelled.labels), 6),
    }
    return Fit(fit_curve(labelled, chosen, facts), before, after)


def check(labelled: Labelled) -> None:
    relevant = int(labelled.labels.sum())
    if labelled.queries < FOLDS:
        raise NotMeasurable(f"{labelled.queries} queries have candidates; {FOLDS} are needed")
    if relevant < FOLDS or relevant == len(labelled.labels):
        raise NotMeasurable(
            f"{relevant} of {len(labelled.labels)} candidates are relevant; "
            f"at least {FOLDS} must be, but not all"
        )
    for kind, chosen in (("relevant", labelled.labels), ("not relevant", ~labelled.labels)):
        if labelled.only(chosen).queries < 2:
            raise NotMeasurable(
                f"all candidates that are {kind} belong to one query; two queries are needed"
            )


def try_both(labelled: Labelled, seed: int) -> dict[Method, Values]:
    fit_platt(labelled, IN_PASSING)  # fails if the model ranks in the wrong order
    unseen: dict[Method, Values] = {"isotonic": cross_fit(labelled, "isotonic", seed)}
    with suppress(NotMeasurable):  # a fold can fail where the whole does not
        unseen["platt"] = cross_fit(labelled, "platt", seed)
    return unseen


def cross_fit(labelled: Labelled, method: Method, seed: int) -> Values:
    """The probabilities of each query, by a fit on the queries of the other folds.

    Queries are distributed by their share of relevant candidates: each fold gets both kinds.
    """
    owners, places = np.unique(labelled.owners, return_inverse=True)
    shares = np.bincount(places, labelled.labels) / np.bincount(places)
    fold_of = np.zeros(len(owners), dtype=int)
    dealt = sorted(permuted(len(owners), seed), key=lambda owner: -shares[owner])
    fold_of[dealt] = np.arange(len(owners)) % FOLDS
    folds = fold_of[places]
    unseen = np.zeros(len(labelled.labels))
    for fold in range(FOLDS):
        curve = fit_curve(labelled.only(folds != fold), method, IN_PASSING)
        unseen[folds == fold] = apply(curve, labelled.logits[folds == fold])
    return unseen


def fit_curve(labelled: Labelled, method: Method, facts: Mapping[str, object]) -> Calibration:
    return (fit_platt if method == "platt" else fit_isotonic)(labelled, facts)


def fit_platt(labelled: Labelled, facts: Mapping[str, object]) -> Platt:
    regression = LogisticRegression(C=np.inf).fit(labelled.logits[:, None], labelled.labels)
    slope, intercept = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    if slope <= 0:
        raise NotMeasurable("the model does not score relevant candidates higher than the others")
    return Platt.model_validate({**facts, "slope": slope, "intercept": intercept})


def fit_isotonic(labelled: Labelled, facts: Mapping[str, object]) -> Isotonic:
    regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    regression.fit(labelled.logits, labelled.labels)
    return Isotonic.model_validate(
        {
            **facts,
            "logits": regression.X_thresholds_.tolist(),
            "probabilities": regression.y_thresholds_.clip(0, 1).tolist(),
        }
    )


def apply(curve: Curve, logits: Values) -> Values:
    return np.array([curve(float(logit)) for logit in logits])
