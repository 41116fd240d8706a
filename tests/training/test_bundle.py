from pathlib import Path

import numpy as np
import pytest

from app.training.bundled import bundle


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(np.random.default_rng(0).bytes(5000))
    return folder


def test_parts_join_to_what_was_cut(weights: Path, tmp_path: Path) -> None:
    parts = bundle.split(weights, tmp_path / "parts", size=1000)
    assert len(parts) > 5
    assert all(part.stat().st_size <= 1000 for part in parts)
    bundle.main(["join", str(tmp_path / "parts"), "--out", str(tmp_path / "joined")])
    for path in weights.iterdir():
        assert (tmp_path / "joined" / path.name).read_bytes() == path.read_bytes()


def test_a_missing_part_is_noticed(weights: Path, tmp_path: Path) -> None:
    parts = bundle.split(weights, tmp_path / "parts", size=1000)
    parts[2].unlink()
    with pytest.raises(SystemExit, match="missing or changed"):
        bundle.join(tmp_path / "parts", tmp_path / "joined")


def test_a_bundle_over_the_limit_is_refused(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "LIMIT", 1000)
    with pytest.raises(SystemExit, match="more than"):
        bundle.pack(weights, tmp_path, weights, tmp_path / "run.tar")
