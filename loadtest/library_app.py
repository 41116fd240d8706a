"""Libraries that rerank in a process, each behind a plain FastAPI app. Some of the `peers`.

    LIBRARY=fastembed MODEL=folder python -m uvicorn loadtest.library_app:app

Runs in an environment of its own (requirements-libraries.txt) and imports nothing of the service.
`loadtest.library_models` makes the folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

Scores = Sequence[float]
Score = Callable[[str, list[str]], Scores]


def sentence_transformers(model: Path, backend: str, file: str) -> Score:
    from sentence_transformers import CrossEncoder  # noqa: PLC0415 (of this library's environment)

    encoder = CrossEncoder(
        str(model), backend=backend, device="cpu", model_kwargs={"file_name": file}
    )

    def score(query: str, documents: list[str]) -> Scores:
        pairs = [(query, document) for document in documents]
        return [float(value) for value in encoder.predict(pairs, show_progress_bar=False)]

    return score


def onnx(model: Path) -> Score:
    (file,) = (model / "onnx").glob("model_q*.onnx")
    return sentence_transformers(model, "onnx", f"onnx/{file.name}")


def openvino(model: Path) -> Score:
    return sentence_transformers(model, "openvino", "openvino/openvino_model_qint8_quantized.xml")


def genai(model: Path) -> Score:
    import openvino_genai  # noqa: PLC0415

    folder, device = str(model / "genai"), "CPU"
    pipeline = openvino_genai.TextRerankPipeline(folder, device, top_n=2**20)

    def score(query: str, documents: list[str]) -> Scores:
        return [value for _, value in sorted(pipeline.rerank(query, documents))]

    return score


def fastembed(model: Path) -> Score:
    from fastembed.common.model_description import ModelSource  # noqa: PLC0415
    from fastembed.rerank.cross_encoder import TextCrossEncoder  # noqa: PLC0415

    name = "loadtest/model"
    TextCrossEncoder.add_custom_model(
        model=name, sources=ModelSource(hf=name), model_file="onnx/model.onnx"
    )
    encoder = TextCrossEncoder(name, specific_model_path=str(model))

    def score(query: str, documents: list[str]) -> Scores:
        return [probability(value) for value in encoder.rerank(query, documents)]

    return score


def probability(logit: float) -> float:
    from numpy import exp  # noqa: PLC0415

    return float(1 / (1 + exp(-logit)))


LIBRARIES: dict[str, Callable[[Path], Score]] = {
    "onnx": onnx,
    "openvino": openvino,
    "genai": genai,
    "fastembed": fastembed,
}


class Request(BaseModel):
    query: str
    documents: list[str]


app = FastAPI()
# Two of them have one inference request, so that a second call fails, and each call of ONNX Runtime
# keeps a gigabyte. A call uses all processors anyway.
calls = Lock()
score_of = LIBRARIES[os.environ["LIBRARY"]](Path(os.environ["MODEL"]))


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/rerank")
def rerank(request: Request) -> dict[str, Any]:
    with calls:
        scores = score_of(request.query, request.documents)
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return {"results": [{"index": index, "relevance_score": scores[index]} for index in order]}
