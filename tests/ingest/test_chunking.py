from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.chunking import MAX_CHARACTERS_PER_TOKEN, Chunking, chunks_of, cut
from app.ingest.document import FileDocument, Section, Unreadable
from app.retrieval.store import Candidate


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def count_chars(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def test_a_short_text_is_one_chunk_as_it_is() -> None:
    text = "One sentence.\nAnd another, on\na line of its own."
    assert list(cut(text, Chunking(count_words, 50, 5))) == [text]


def test_chunks_end_where_sentences_end() -> None:
    text = "One two three. Four five six. Seven eight."
    chunking = Chunking(count_words, 6, 0)
    assert list(cut(text, chunking)) == ["One two three. Four five six.", "Seven eight."]


def test_the_next_chunk_repeats_the_last_sentences_that_fit_the_overlap() -> None:
    text = "One two. Three four. Five six. Seven eight."
    assert list(cut(text, Chunking(count_words, 4, 2))) == [
        "One two. Three four.",
        "Three four. Five six.",
        "Five six. Seven eight.",
    ]


def test_no_overlap_is_better_than_one_that_pushes_the_next_sentence_out() -> None:
    text = "One two. Three four five six."
    assert list(cut(text, Chunking(count_words, 4, 2))) == ["One two.", "Three four five six."]


def test_a_sentence_that_fits_no_chunk_is_cut_between_words() -> None:
    text = " ".join(["word"] * 100)
    chunks = list(cut(text, Chunking(count_words, 30, 0)))
    assert " ".join(chunks) == text
    assert max(count_words(chunks)) <= 30


GAPS = [" ", ". ", "! ", "。 ", "\n", "\n\n", "\n- ", "\n# ", "\n```\n"]


@given(st.lists(st.sampled_from(GAPS), max_size=90), st.integers(8, 40), st.integers(0, 20))
@settings(deadline=None)
def test_chunks_fit_and_together_hold_the_whole_text(
    gaps: list[str], most: int, overlap: int
) -> None:
    text = "".join(f"w{index}{gap}" for index, gap in enumerate(gaps))
    chunks = list(cut(text, Chunking(count_chars, most, min(overlap, most // 2))))
    words = [re.findall(r"w\d+", chunk) for chunk in chunks]
    assert list(dict.fromkeys(word for some in words for word in some)) == re.findall(r"w\d+", text)
    # Between two sentences of a chunk there is space that no sentence counts.
    assert all(sum(map(len, chunk.split())) <= most for chunk in chunks)
    assert all(chunk in text for chunk in chunks)


def chunks(text: str, source: str = "a.md", title: str = "Setup > Linux") -> list[Candidate]:
    documents = [FileDocument("", [Section(title, text)])]
    return chunks_of(source, documents, Chunking(count_words, 20, 0))


def test_a_chunk_stands_under_its_title_and_knows_where_it_is_from() -> None:
    (chunk,) = chunks("Run the installer.")
    assert chunk.text == "Setup > Linux\n\nRun the installer."
    assert chunk.metadata["source"] == "a.md"
    assert chunk.metadata["section"] == "Setup > Linux"
    assert chunk.metadata["doc_id"] == chunk.metadata["parent_doc_id"]


def test_a_title_as_long_as_a_chunk_is_left_to_the_metadata() -> None:
    (chunk,) = chunks("Short.", title="word " * 15)
    assert chunk.text == "Short."


def test_the_same_content_has_the_same_id_and_any_other_has_another() -> None:
    ids = [
        chunk.id
        for chunk in (
            *chunks("One."),
            *chunks("Two."),
            *chunks("One.", source="b.md"),
            *chunks("One.", title="Setup"),
        )
    ]
    assert len(set(ids)) == 4
    assert [chunk.id for chunk in chunks("One.")] == ids[:1]


def test_rows_of_one_file_are_documents_of_one_parent() -> None:
    rows = [FileDocument(name, [Section("", f"Row {name}.")], {"year": 1}) for name in "ab"]
    first, second = chunks_of("x.jsonl", rows, Chunking(count_words, 20, 0))
    assert first.metadata["doc_id"] != second.metadata["doc_id"]
    assert first.metadata["parent_doc_id"] == second.metadata["parent_doc_id"]
    assert (first.metadata["row"], first.metadata["year"]) == ("a", 1)


@pytest.mark.parametrize("name", ["source", "doc_id"])
def test_metadata_of_a_row_cannot_pass_for_ours(name: str) -> None:
    row = FileDocument("a", [Section("", "Text.")], {name: "forged"})
    (chunk,) = chunks_of("x.jsonl", [row], Chunking(count_words, 20, 0))
    assert chunk.metadata[name] != "forged"


def test_what_a_model_counts_as_nothing_does_not_make_a_chunk_of_any_length() -> None:
    chunking = Chunking(lambda texts: [0] * len(texts), 20, 0)
    for text in ("a" * 10_000, "a b " * 2_500, "a. " * 5_000, "\u200b\n\n" * 5_000):
        assert max(map(len, cut(text, chunking))) <= 20 * (MAX_CHARACTERS_PER_TOKEN + 2)


def test_a_long_word_is_never_measured_as_a_whole() -> None:
    lengths: list[int] = []

    def measure(texts: Sequence[str]) -> list[int]:
        lengths.extend(map(len, texts))
        return [1] * len(texts)

    text = "a" * 100_000
    assert "".join(cut(text, Chunking(measure, 20, 0))) == text
    assert max(lengths) <= 20 * MAX_CHARACTERS_PER_TOKEN
    assert sum(lengths) == len(text)


def test_a_file_of_more_chunks_than_may_be_is_refused_before_all_of_it_is_cut() -> None:
    texts: list[str] = []

    def measure(some: Sequence[str]) -> list[int]:
        texts.extend(some)
        return [20] * len(some)

    documents = [FileDocument("", [Section("", "".join(f"Word {n}. " for n in range(100_000)))])]
    with pytest.raises(Unreadable, match=r"^a\.md: makes more than 9 chunks \(--max-file-chunks\)"):
        chunks_of("a.md", documents, Chunking(measure, 20, 0, max_chunks=9))
    assert len(texts) < 10_000
    documents = [FileDocument("", [Section("", "".join(f"Word {n}. " for n in range(9)))])]
    assert len(chunks_of("a.md", documents, Chunking(measure, 20, 0, max_chunks=9))) == 9
