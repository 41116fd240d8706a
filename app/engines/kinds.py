"""Models for ranking that give no score for a pair: each is refused by the name of its kind."""

from __future__ import annotations

from app.engines.hub import read_json, source_folder
from app.engines.spec import ModelSpec
from app.errors import LoadFailed

EMBEDDING = "an embedding model (bi-encoder), which compares vectors of query and document"
SPARSE = "a sparse embedding model, which compares weights of words"
LATE_INTERACTION = "a late-interaction model (ColBERT), which compares vectors of tokens"
LISTWISE = "a listwise reranker, which reads all documents at once"
# What sentence-transformers or PyLate wrote beside the model, and the architecture in its config.
KIND_BY_LIBRARY = {
    "SentenceTransformer": EMBEDDING,
    "SparseEncoder": SPARSE,
    "MultiVectorEncoder": LATE_INTERACTION,
    "ColBERT": LATE_INTERACTION,
}
KIND_BY_ARCHITECTURE = {"HF_ColBERT": LATE_INTERACTION, "JinaForRanking": LISTWISE}


def refuse_other_kinds(spec: ModelSpec) -> None:
    """Where the model's files are here; else loading it says what is wrong."""
    folder = source_folder(spec)
    if folder is None:
        return
    library = read_json(folder / "config_sentence_transformers.json").get("model_type", "")
    architectures = read_json(folder / "config.json").get("architectures") or [None]
    kind = KIND_BY_LIBRARY.get(library) or KIND_BY_ARCHITECTURE.get(architectures[0])
    if kind is not None:
        raise LoadFailed(
            f"model {spec.label} is {kind}: only cross-encoders, which score a pair, can be served"
        )
