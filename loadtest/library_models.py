"""The files that the libraries of `library_app` need, made from a model by their own tools.

    python -m loadtest.library_models MODEL FOLDER

Runs in the environment of requirements-libraries.txt.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import openvino
from openvino_tokenizers import convert_tokenizer
from optimum.exporters.openvino import main_export
from optimum.intel import OVQuantizationConfig
from sentence_transformers import (
    CrossEncoder,
    export_dynamic_quantized_onnx_model,
    export_static_quantized_openvino_model,
)
from transformers import AutoTokenizer

WORDS = ["river", "city", "doctor", "glass", "trade", "farmer", "apple", "ship", "player", "week"]
SAMPLES = 64


def onnx_files(model: str, folder: Path) -> None:
    flags = Path("/proc/cpuinfo").read_text()
    encoder = CrossEncoder(model, backend="onnx", model_kwargs={"export": True}, device="cpu")
    encoder.save_pretrained(str(folder))
    processor = "avx512_vnni" if "avx512_vnni" in flags else "avx2"
    export_dynamic_quantized_onnx_model(encoder, processor, str(folder))


def openvino_files(model: str, folder: Path) -> None:
    encoder = CrossEncoder(model, backend="openvino", model_kwargs={"export": True}, device="cpu")
    encoder.save_pretrained(str(folder))
    samples = folder / "samples"
    samples.mkdir()
    lines = [json.dumps({"text": " ".join(random.choices(WORDS, k=60))}) for _ in range(SAMPLES)]
    (samples / "train.jsonl").write_text("\n".join(lines))
    export_static_quantized_openvino_model(
        encoder,
        OVQuantizationConfig(num_samples=SAMPLES),
        str(folder),
        dataset_name=str(samples),
        dataset_config_name="default",
        dataset_split="train",
        column_name="text",
    )


def genai_files(model: str, folder: Path) -> None:
    main_export(model, folder, task="text-classification")
    tokenizer = convert_tokenizer(AutoTokenizer.from_pretrained(model), number_of_inputs=2)
    openvino.save_model(tokenizer, folder / "openvino_tokenizer.xml")


def main() -> None:
    model, folder = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2])
    onnx_files(model, folder)
    openvino_files(model, folder)
    genai_files(model, folder / "genai")


if __name__ == "__main__":
    main()
