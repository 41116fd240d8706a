"""A model in full precision, with which all engines are compared."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from app.engines import LoadedModel
from app.engines.backends import REFERENCE
from app.engines.benchmark import MIN_AGREEMENT, agree, logits
from app.engines.converted_model import Damaged
from app.engines.encoders import SplitEncoder
from app.engines.layout import Layout
from app.engines.probe import lists
from app.engines.published import Published, Unusable, find_published, open_published
from app.engines.spec import ModelSpec
from app.errors import PackageMissing

if TYPE_CHECKING:
    from app.engines.torch.model import TorchModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Original:
    """`torch` is the model of the reference where its library is installed.

    Else `model` runs the graphs that were `published` with it.
    """

    model: LoadedModel
    torch: TorchModel | None
    published: Published | None

    @property
    def layout(self) -> Layout:
        if self.torch is None and self.published is not None:
            return self.published.card.layout
        return cast("TorchModel", self.torch).layout


def load_original(unchanged: ModelSpec) -> Original:
    """The graphs that a model came with count only as far as they rank as the reference does."""
    missing = REFERENCE.refuses(unchanged)
    try:
        published = find_published(unchanged)
        model = open_published(unchanged, published) if published else None
        unusable = "it comes without graphs in full precision"
    except (Damaged, Unusable) as error:
        published, model, unusable = None, None, str(error)
        warn_of_graphs(unchanged, unusable)
    if missing is None:
        torch = REFERENCE.load(unchanged)
        if model and published and not ranks_alike(model, torch):
            published = None
            warn_of_graphs(unchanged, f"they do not rank as {REFERENCE.name} float32 does")
        return Original(torch, torch, published)
    if model is None:
        raise PackageMissing(
            f"model {unchanged.label} has to be converted, which needs PyTorch, because "
            f"{unusable}: {missing}"
        )
    return Original(model, None, published)


def ranks_alike(model: LoadedModel, torch: TorchModel) -> bool:
    """The graphs, with tokens as both of them make them."""
    if not isinstance(torch.encoder, SplitEncoder):
        return False
    reference, measured = lists(torch.encoder)[:1], lists(model.encoder)[:1]
    agreement = agree(logits(torch.engine, reference), logits(model.engine, measured))
    return agreement >= MIN_AGREEMENT


def warn_of_graphs(spec: ModelSpec, reason: str) -> None:
    fields = {"model": spec.label, "reason": reason}
    logger.warning("published_graphs_not_used", extra={"fields": fields})
