"""The training loop: distillation, learning from labels, and a running mean of the weights."""

import copy
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from app.durable import replacing
from app.engines.torch.duet import Duet
from app.engines.torch.evidence import Parts
from app.training.bundled.batches import Group, draw_step
from app.training.bundled.data import Source
from app.training.bundled.recipe import Recipe

log = logging.getLogger(__name__)

FROZEN = ("word.", "position.", "norm.", "evidence.", "head.shift", "head.scale")


def open_gates(model: Duet, recipe: Recipe) -> None:
    with torch.no_grad():
        for way, height in enumerate(recipe.gates):
            model.gates[recipe.frozen :, way] = height


def optimizer_for(model: Duet, recipe: Recipe) -> torch.optim.AdamW:
    rates = {"gates": recipe.gate_rate, "head": recipe.head_rate}
    below = tuple(f"layers.{number}." for number in range(recipe.frozen))
    parameters = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith((*FROZEN, *below))
        kind = name.split(".")[0]
        if parameter.requires_grad:
            rate = rates.get(kind, recipe.layer_rate)
            decay = recipe.decay if parameter.ndim > 1 and kind == "layers" else 0.0
            parameters.append({"params": [parameter], "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(parameters, fused=True)


def pace(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * min(done, 1.0))) / 2


class Trainer:
    def __init__(
        self,
        start: Duet,
        tokenizer: PreTrainedTokenizerFast,
        sources: Sequence[Source],
        recipe: Recipe,
        device: str = "cpu",
    ) -> None:
        self.tokenizer, self.sources, self.recipe = tokenizer, sources, recipe
        self.device = device
        self.teacher = copy.deepcopy(start).train()
        nn.Module.to(self.teacher, torch.device(device), torch.bfloat16)
        self.model = copy.deepcopy(start)
        nn.Module.to(self.model, torch.device(device))
        self.mean = copy.deepcopy(self.model)
        self.optimizer = optimizer_for(self.model, recipe)
        self.step = 0

    def tokenize(self, groups: Sequence[Group], length: int) -> dict[str, Tensor]:
        queries = [group.query for group in groups for _ in group.documents]
        documents = [text for group in groups for text in group.documents]
        batch = self.tokenizer(
            queries,
            documents,
            truncation="longest_first",
            max_length=length,
            padding=True,
            return_tensors="pt",
        )
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def loss(self, groups: Sequence[Group], length: int) -> Tensor:
        batch = self.tokenize(groups, length)
        ids, parts = batch["input_ids"], Parts(batch["attention_mask"], batch["token_type_ids"])
        with torch.no_grad():
            words = self.teacher.word(ids)
            states = self.teacher.encode(words, parts)
            taught = self.teacher.judge(ids, words, states, parts).view(len(groups), -1)
        taught[:, 0] += self.recipe.gold
        with torch.autocast(self.device, torch.bfloat16):
            states = self.model.encode(words, parts, states[: self.recipe.frozen])
            logits = self.model.judge(ids, words, states, parts).view(len(groups), -1)
        return nn.functional.cross_entropy(logits, taught.softmax(1), reduction="sum")

    def advance(self) -> float:
        """Run one step and return its loss."""
        self.model.train()
        groups, length = draw_step(self.sources, self.recipe, self.step)
        total = 0.0
        for first in range(0, len(groups), self.recipe.together):
            loss = self.loss(groups[first : first + self.recipe.together], length) / len(groups)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        share = pace(self.step, self.recipe)
        rates = [group["lr"] for group in self.optimizer.param_groups]
        for group in self.optimizer.param_groups:
            group["lr"] *= share
        self.optimizer.step()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.optimizer.zero_grad()
        self.step += 1
        self.fold()
        return total

    @torch.no_grad()
    def fold(self) -> None:
        """Move the running mean towards the weights, faster in the first steps."""
        keep = min(self.recipe.average, self.step / (self.step + 9))
        for kept, new in zip(self.mean.parameters(), self.model.parameters(), strict=True):
            if new.requires_grad:
                kept.lerp_(new, 1 - keep)

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def save(self, path: Path) -> None:
        with replacing(path) as stream:
            torch.save(self.state(), stream)

    def resume(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.mean.load_state_dict(state["mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def run(self, checkpoint: Path, seen: Callable[[int, float], None] | None = None) -> Duet:
        if checkpoint.exists():
            self.resume(checkpoint)
        started, first = time.monotonic(), self.step
        last = min(self.recipe.steps, self.recipe.stop)
        while self.step < last:
            loss = self.advance()
            if seen is not None:
                seen(self.step, loss)
            if self.step % self.recipe.save_every == 0 or self.step == last:
                self.save(checkpoint)
                speed = (time.monotonic() - started) / (self.step - first)
                log.info("step %d, loss %.3f, %.2f s a step", self.step, loss, speed)
        return self.mean
