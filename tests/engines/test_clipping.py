"""A clipped text gives the ids of the whole, whatever the text and the tokenizer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from app.engines import Encoder, Ids
from app.engines.clipping import CHARS_THAT_COUNT, clip, clipped, gap_before
from app.engines.encoders import SplitEncoder, Template, as_they_are, ids_of
from app.engines.loading import load
from app.engines.spec import BUNDLED_FOLDER, ModelSpec
from app.text import Side
from tests import models as families

# As Qwen and Llama 3 split a text: numbers in groups, punctuation with the lines that end in it.
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DIGITS = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
WORDS = ["the", "library", "Bücher", "straße", "don't", "I'll", "x1", "2026", "(desk)", "e.g."]


def prose(draw: random.Random) -> str:
    ends = [" ", " ", " ", "  ", ". ", ", ", ".\n\n", "\n", "...\r\n", "\t", "—"]
    return "".join(draw.choice(WORDS) + draw.choice(ends) for _ in range(300))


def letters(alphabet: str, count: int) -> Callable[[random.Random], str]:
    return lambda draw: "".join(draw.choices(alphabet, k=count))


KINDS: dict[str, Callable[[random.Random], str]] = {
    "words": prose,
    "no white space": letters("abcdefgh", 3000),
    "a run": lambda draw: draw.choice("a-=._0") * draw.randrange(2000, 4000),
    "runs among words": lambda draw: " ".join(
        draw.choice([*WORDS, draw.choice("-=._") * draw.randrange(150)]) for _ in range(150)
    ),
    "CJK": letters("図書館は九時開きます本。、", 2500),
    "CJK with lines": letters("図書館は九時に開きます。\n", 2500),
    "base64": lambda draw: "\n".join(
        "".join(draw.choices("ABCDabcd0123+/", k=76)) for _ in range(40)
    ),
    "base64 in one line": letters("ABCDabcd0123+/", 3000),
    "digits": letters("0123456789", 3000),
    "numbers": lambda draw: " ".join(str(draw.randrange(10**9)) for _ in range(300)),
    "blanks": lambda draw: " " * 3000 + "\n" * 200 + "end",
    "blanks among words": lambda draw: "".join(
        draw.choice(WORDS) + draw.choice(" \t\n") * draw.randrange(1, 60) for _ in range(150)
    ),
    "emoji": letters("😀👩‍👩‍👧🇫🇷☃️ ", 2000),
    "unknown letters": lambda draw: " ".join(["ᚠᛇᚻ" * 40] * 60),
    "long unknown words": lambda draw: " ".join("☃" * draw.randrange(300) for _ in range(60)),
    "combining marks": letters("aéöu\u0301\u0308 n\u0303", 2500),
    "punctuation": letters(".,;:!?()[]'\" \n", 2500),
    "code": lambda draw: "\n".join(
        f"    if (x[{draw.randrange(99)}]) {{ y->z++; }}" for _ in range(150)
    ),
    "control characters": letters("a b\x00\x07\u200b\ufffd", 2500),
}


def splitting(pattern: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=500, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([*families.TEXTS, "  \n\n --- ... 123 456"], trainer)
    return tokenizer


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    built = {
        name: Tokenizer.from_file(str(build(tmp_path_factory.mktemp(name)) / "tokenizer.json"))
        for name, build in families.FAMILIES.items()
    }
    bundled = Tokenizer.from_file(str(BUNDLED_FOLDER / "tokenizer.json"))
    everything = {**built, "bundled": bundled, "qwen": splitting(QWEN), "digits": splitting(DIGITS)}
    for tokenizer in everything.values():
        tokenizer.no_truncation()
        tokenizer.no_padding()
    return everything


def whole(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def part(tokenizer: Tokenizer, text: str, need: int, cut: Side) -> tuple[list[int], int]:
    """The ids, and how many characters were tokenized for them."""
    seen = 0

    def encode(texts: Sequence[str]) -> list[tuple[Ids, Sequence[int | None]]]:
        nonlocal seen
        seen += sum(map(len, texts))
        encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [(ids_of(encoding), encoding.word_ids) for encoding in encoded]

    def encode_whole(texts: Sequence[str]) -> list[Ids]:
        return [ids for ids, _ in encode(texts)]

    (ids,) = clipped([text], need, cut, encode_whole, encode, as_they_are)
    return ids.tolist(), seen


def agree(tokenizer: Tokenizer, text: str, need: int, cut: Side) -> None:
    expected, (clipped_ids, _) = whole(tokenizer, text), part(tokenizer, text, need, cut)
    assert len(clipped_ids) >= min(need, len(expected))
    same = (
        expected[: len(clipped_ids)]
        if cut == "right"
        else expected[len(expected) - len(clipped_ids) :]
    )
    assert clipped_ids == same


@pytest.mark.parametrize("cut", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_clipped_text_gives_the_ids_of_the_whole(
    kind: str, cut: Side, tokenizers: dict[str, Tokenizer]
) -> None:
    draw = random.Random(kind)
    for tokenizer in tokenizers.values():
        for need in (3, 60):
            agree(tokenizer, KINDS[kind](draw), need, cut)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["a", "bo", "12345", "'ll", "é", "図", "。", ".", "--", "😀", "☃", "\u0301"]
            ),
            st.sampled_from(["", "", " ", "  ", "\n", ".\n\n", "\r\n ", "\u3000", "\u00a0"]),
            st.integers(1, 40),
        ),
        max_size=60,
    ),
    st.integers(1, 40),
    st.sampled_from(["left", "right"]),
)
@settings(max_examples=60, deadline=None)
def test_a_text_of_any_pieces_gives_the_ids_of_the_whole(
    tokenizers: dict[str, Tokenizer], pieces: list[tuple[str, str, int]], need: int, cut: Side
) -> None:
    text = "".join((word + gap) * times for word, gap, times in pieces)
    for tokenizer in tokenizers.values():
        agree(tokenizer, text, need, cut)


@pytest.mark.parametrize("cut", ["left", "right"])
def test_no_more_of_a_long_text_is_tokenized_than_can_count(
    cut: Side, tokenizers: dict[str, Tokenizer]
) -> None:
    text = "Books are lent for four weeks; a longer loan may be asked for at the desk.\n" * 2000
    for tokenizer in tokenizers.values():
        _, seen = part(tokenizer, text, 100, cut)
        assert seen <= 100 * CHARS_THAT_COUNT


@pytest.mark.parametrize("cut", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_resists_is_not_read_much_more_often_than_once(
    kind: str, cut: Side, tokenizers: dict[str, Tokenizer]
) -> None:
    text = KINDS[kind](random.Random(kind)) * 4
    for tokenizer in tokenizers.values():
        _, seen = part(tokenizer, text, 20, cut)
        assert seen <= 2 * len(text)


def test_a_text_that_takes_few_tokens_is_read_on_until_there_are_enough(
    tokenizers: dict[str, Tokenizer],
) -> None:
    for blanks in (100, 1000, 10_000, 100_000):
        text = " " * blanks + "books are lent for four weeks " * 30
        agree(tokenizers["bundled"], text, 50, "right")
        agree(tokenizers["bundled"], text[::-1], 50, "left")


@given(st.text(st.sampled_from("ab \n\u3000"), max_size=30), st.integers(0, 30))
def test_the_end_of_a_text_is_taken_from_a_gap_between_words_on(text: str, size: int) -> None:
    size = min(size, len(text))
    start = gap_before(text, len(text) - size)
    assert start <= len(text) - size
    assert clip(text, size, "left") == text[start:]
    if start:
        assert text[start].isspace() or start == len(text)
        assert not text[start - 1].isspace()


LONG = "a longer loan may be asked for at the desk. " * 200
QUERIES = ["how long may I keep the book?", "how long? " * 40]


@pytest.fixture(scope="module", params=[*families.FAMILIES, "odd"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    if request.param == "odd":  # an odd number of tokens to share between query and document
        bert = Tokenizer.from_file(
            str(families.bert(tmp_path_factory.mktemp("odd")) / "tokenizer.json")
        )
        template = Template.of(bert)
        assert template is not None
        return SplitEncoder(bert, template, 30, "")
    folder = families.FAMILIES[request.param](tmp_path_factory.mktemp(request.param))
    return load(ModelSpec(str(folder), device="cpu")).encoder


@pytest.mark.parametrize("cut", ["left", "right"])
@pytest.mark.parametrize("document_tokens", [0, 4])
def test_a_pair_of_a_clipped_document_is_the_pair_of_the_whole(
    encoder: Encoder, cut: Side, document_tokens: int
) -> None:
    draw = random.Random(0)
    texts = ["", "x", "a book", LONG, LONG + "☃", *(make(draw) for make in KINDS.values())]
    texts += [LONG[:length] for length in range(40, 2000, 170)]
    for query in QUERIES:
        read = partial(
            encoder.encode,
            query,
            texts,
            instruction=None,
            cut=cut,
            document_tokens=document_tokens,
        )
        for text, whole, part in zip(texts, read(), read(clip=True), strict=True):
            assert part.pair.ids.tolist() == whole.pair.ids.tolist(), text[:40]
            assert (part.pair.split, part.kept) == (whole.pair.split, whole.kept)
            assert (part.whole > part.tokens) == (whole.whole > whole.tokens)
            assert part.whole <= whole.whole
