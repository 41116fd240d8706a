from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder
from torch.nn import functional as fn
from transformers import BertModel, PreTrainedTokenizerFast

from app.engines.torch.duet import Duet
from app.engines.torch.evidence import FEATURES, Parts
from tests.training import tiny

QUERY, TEXT = "the river runs", "a boat sails slow and deep through ten lands"
PAIRS = [(QUERY, TEXT), (QUERY, "the river runs deep"), ("spring", "waters rise"), (QUERY, "")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny.write_base(folder)
    return folder


@pytest.fixture(scope="module")
def bert(base: Path) -> BertModel:
    return tiny.write_base(base)


@pytest.fixture
def duet(base: Path) -> tuple[Duet, PreTrainedTokenizerFast]:
    return tiny.start(base)


def tokens(tokenizer: PreTrainedTokenizerFast, *pairs: tuple[str, str]) -> dict[str, torch.Tensor]:
    queries, texts = [query for query, _ in pairs], [text for _, text in pairs]
    return dict(tokenizer(queries, texts, padding=True, return_tensors="pt"))


@torch.no_grad()
def evidence(model: Duet, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    parts = Parts(batch["attention_mask"], batch["token_type_ids"])
    words = model.word(batch["input_ids"])
    states = model.encode(words, parts)
    return dict(zip(FEATURES, model.weigh(batch["input_ids"], words, states, parts).T, strict=True))


@torch.no_grad()
def embed(bert: BertModel, tokenizer: PreTrainedTokenizerFast, text: str) -> torch.Tensor:
    batch = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    states: torch.Tensor = bert(**batch).last_hidden_state
    return states.mean(1)


def test_a_pair_is_two_whole_parts(duet: tuple[Duet, PreTrainedTokenizerFast]) -> None:
    batch = duet[1]("the river", "a boat")
    names = duet[1].convert_ids_to_tokens(batch["input_ids"])
    assert names == ["[CLS]", "the", "river", "[SEP]", "[CLS]", "a", "boat", "[SEP]"]
    assert batch["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_with_its_gates_shut_it_is_the_bi_encoder(
    duet: tuple[Duet, PreTrainedTokenizerFast], bert: BertModel
) -> None:
    model, tokenizer = duet
    cosines = evidence(model, tokens(tokenizer, *PAIRS))["cosine"]
    for (query, text), cosine in zip(PAIRS, cosines, strict=True):
        wanted = fn.cosine_similarity(embed(bert, tokenizer, query), embed(bert, tokenizer, text))
        assert cosine.item() == pytest.approx(wanted.item(), abs=1e-5)


def test_an_open_gate_lets_the_document_change_the_query(
    duet: tuple[Duet, PreTrainedTokenizerFast],
) -> None:
    model, tokenizer = duet
    batch = tokens(tokenizer, PAIRS[0])
    shut = evidence(model, batch)["cosine"]
    torch.nn.init.zeros_(model.gates)
    assert not torch.allclose(evidence(model, batch)["cosine"], shut, atol=1e-4)


@pytest.mark.parametrize("gate", [-1e4, -1.0])
def test_neighbours_and_padding_do_not_change_a_score(
    duet: tuple[Duet, PreTrainedTokenizerFast], gate: float
) -> None:
    model, tokenizer = duet
    torch.nn.init.constant_(model.gates, gate)
    with torch.no_grad():
        together = model(**tokens(tokenizer, *PAIRS)).logits
        alone = torch.cat([model(**tokens(tokenizer, pair)).logits for pair in PAIRS])
    assert torch.allclose(together, alone, atol=1e-4)


def test_training_and_serving_attend_alike(duet: tuple[Duet, PreTrainedTokenizerFast]) -> None:
    model, tokenizer = duet
    batch = tokens(tokenizer, *PAIRS)
    with torch.no_grad():
        served = model(**batch).logits
        assert torch.allclose(model.train()(**batch).logits, served, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same(
    duet: tuple[Duet, PreTrainedTokenizerFast], dtype: torch.dtype
) -> None:
    model, tokenizer = duet
    batch = tokens(tokenizer, *PAIRS)
    with torch.no_grad():
        full = model(**batch).logits
        half = torch.nn.Module.to(model, dtype)(**batch).logits
    assert torch.allclose(full, half.float(), atol=0.2)


def test_shared_words_and_phrases_speak_for_a_document(
    duet: tuple[Duet, PreTrainedTokenizerFast],
) -> None:
    model, tokenizer = duet
    texts = ["the river runs deep", "runs the river deep", "a boat sails slow"]
    features = evidence(model, tokens(tokenizer, *[(QUERY, text) for text in texts]))
    assert features["stems"][0] == pytest.approx(features["stems"][1].item(), abs=1e-6)
    assert features["stems"][1] > features["stems"][2] + 0.2
    assert features["phrases"][0] > features["phrases"][1] > features["phrases"][2] == 0


def test_nothing_to_read_is_a_score_like_any_other(
    duet: tuple[Duet, PreTrainedTokenizerFast],
) -> None:
    model, tokenizer = duet
    with torch.no_grad():
        logits = model(**tokens(tokenizer, ("", ""), (QUERY, ""), ("", TEXT))).logits
    assert logits.isfinite().all()


def test_sentence_transformers_loads_it_from_its_folder(
    duet: tuple[Duet, PreTrainedTokenizerFast], tmp_path: Path
) -> None:
    model, tokenizer = duet
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = CrossEncoder(str(tmp_path), device="cpu", local_files_only=True)
    with torch.no_grad():
        wanted = torch.sigmoid(model(**tokens(tokenizer, *PAIRS)).logits[:, 0])
    assert loaded.predict(PAIRS).tolist() == pytest.approx(wanted.tolist(), abs=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_traced_model_takes_other_lengths_and_sizes(
    duet: tuple[Duet, PreTrainedTokenizerFast],
) -> None:
    model, tokenizer = duet
    names = ("input_ids", "attention_mask", "token_type_ids")

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(*inputs).logits
            return logits

    first, other = tokens(tokenizer, PAIRS[2]), tokens(tokenizer, *PAIRS)
    with torch.no_grad():
        inputs = tuple(first[name] for name in names)
        traced = torch.jit.trace(Plain(), inputs, check_trace=False)  # type: ignore[no-untyped-call]
        logits = traced(*(other[name] for name in names))
        assert torch.allclose(logits, model(**other).logits, atol=1e-5)


@torch.no_grad()
def test_lower_layers_with_shut_gates_compute_a_part_alone_as_beside_the_other(
    duet: tuple[Duet, PreTrainedTokenizerFast],
) -> None:
    model, tokenizer = duet
    model.gates[1:] = -2.0
    assert model.apart == 1
    batch = tokens(tokenizer, (QUERY, TEXT))
    both = model.lower(**batch)
    split = int((batch["token_type_ids"] == 0).sum())
    for part in (slice(0, split), slice(split, None)):
        alone = model.lower(**{name: values[:, part] for name, values in batch.items()})
        torch.testing.assert_close(alone, both[:, part], atol=1e-5, rtol=0)
    whole, continued = model.body(**batch), model.body(**batch, lower=both)
    torch.testing.assert_close(continued, whole, atol=1e-5, rtol=0)


def test_only_layers_below_the_first_open_gate_are_apart(
    duet: tuple[Duet, PreTrainedTokenizerFast],
) -> None:
    model = duet[0]
    assert model.apart == len(model.layers)
    with torch.no_grad():
        model.gates[0, 1, 0] = -9.0
    assert model.apart == 0
