"""From logits and labels to a calibration, judged on queries that the fit has not seen."""

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
# What is said of a fit on some of the folds, which goes into no file.
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
    """Pairs of all queries; those of one owner belong to queries that ask the same."""

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
    # Probabilities of every pair: as they were, and by a fit that had not seen their query.
    before: Values
    after: Values


def collect(judged: Judged, orders: Orders, answers: Mapping[str, Answer]) -> Labelled:
    """Every candidate that has a score; what is not judged relevant counts as not relevant."""
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
    """None chooses the method that does better on unseen queries, by the Brier score."""
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
            f"at least {FOLDS}, and not all, must be"
        )
    for kind, chosen in (("relevant", labelled.labels), ("not relevant", ~labelled.labels)):
        if labelled.only(chosen).queries < 2:
            raise NotMeasurable(f"all candidates that are {kind} are of one query; two are needed")


def try_both(labelled: Labelled, seed: int) -> dict[Method, Values]:
    fit_platt(labelled, IN_PASSING)  # ends it where the model ranks the wrong way round
    unseen: dict[Method, Values] = {"isotonic": cross_fit(labelled, "isotonic", seed)}
    with suppress(NotMeasurable):  # some folds may do so where the whole does not
        unseen["platt"] = cross_fit(labelled, "platt", seed)
    return unseen


def cross_fit(labelled: Labelled, method: Method, seed: int) -> Values:
    """Each query's probabilities, by a fit on the queries of the other folds.

    Dealt by their share of relevant candidates, so that those folds hold both kinds.
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
        raise NotMeasurable("the model scores what is relevant no higher than what is not")
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
