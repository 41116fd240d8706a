"""Training a cross-encoder further on groups, with sentence-transformers' own trainer."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers.cross_encoder import (
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator
from sentence_transformers.cross_encoder.losses import ListNetLoss
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback, set_seed

from app.engines.spec import ModelSpec
from app.engines.torch.reference import open_original, pick_device
from app.evaluation.data.judged import Judged, Orders
from app.evaluation.problems import NotMeasurable
from app.evaluation.progress import Step, bar
from app.training.finetune.mining import Group

# In a softmax it gets nearly the whole share.
RELEVANT_LABEL = 10.0
DECIDING = "eval_validation_ndcg@10"
# Number of validation runs during the training.
VALIDATION_RUNS = 8
# Longer pairs cost time and bring no gain.
MAX_TRAINING_TOKENS = 256

logging.getLogger("sentence_transformers").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Recipe:
    epochs: float = 2.0
    # Groups per step.
    batch: int = 8
    rate: float = 2e-5
    # Validation runs without a gain before training stops.
    patience: int = 3
    length: int = 0
    seed: int = 0


class Progress(TrainerCallback):
    def __init__(self, step: Step) -> None:
        self._step = step

    def on_step_end(self, *_: object, **__: object) -> None:
        self._step()


class Tuner:
    def __init__(self, spec: ModelSpec, recipe: Recipe) -> None:
        set_seed(recipe.seed)
        if spec.threads:
            torch.set_num_threads(spec.threads)
        self.device = pick_device(spec.device)
        self._recipe = recipe
        self._model = open_original(replace(spec, dtype="float32"), self.device)
        self._length = self._model.max_seq_length
        most = min(self._length or MAX_TRAINING_TOKENS, MAX_TRAINING_TOKENS)
        self._model.max_seq_length = recipe.length or most

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        scores = self._model.predict(
            [(query, text) for text in texts],
            activation_fn=torch.nn.Identity(),
            show_progress_bar=False,
        )
        return [float(score) for score in scores]

    def tune(
        self, groups: Sequence[Group], validation: Judged, orders: Orders, folder: Path
    ) -> list[float]:
        """Train, save the best model by validation into `folder`, return the nDCG of each run."""
        checkpoints = folder / "checkpoints"
        arguments = self._arguments(checkpoints, len(groups))
        with bar(arguments.max_steps, "training") as step:
            trainer = CrossEncoderTrainer(
                model=self._model,
                args=arguments,
                train_dataset=dataset(groups),
                loss=ListNetLoss(self._model, mini_batch_size=-1),
                evaluator=evaluator(validation, orders),
                callbacks=[EarlyStoppingCallback(self._recipe.patience), Progress(step)],
            )
            trainer.remove_callback(PrinterCallback)  # it writes to standard output
            trainer.train()
        shutil.rmtree(checkpoints, ignore_errors=True)
        self._model.max_seq_length = self._length
        self._model.save_pretrained(str(folder), create_model_card=False)
        history = trainer.state.log_history
        return [float(entry[DECIDING]) for entry in history if DECIDING in entry]

    def _arguments(self, folder: Path, groups: int) -> CrossEncoderTrainingArguments:
        recipe = self._recipe
        steps = max(1, round(recipe.epochs * -(-groups // recipe.batch)))
        between = max(1, steps // VALIDATION_RUNS)
        return CrossEncoderTrainingArguments(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=recipe.batch,
            learning_rate=recipe.rate,
            warmup_steps=max(1, steps // 10),
            eval_strategy="steps",
            eval_steps=between,
            save_strategy="steps",
            save_steps=between,
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model=DECIDING,
            greater_is_better=True,
            eval_on_start=True,
            bf16=self.device == "cuda",
            use_cpu=self.device == "cpu",
            dataloader_pin_memory=self.device == "cuda",
            seed=recipe.seed,
            data_seed=recipe.seed,
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )


def dataset(groups: Sequence[Group]) -> Dataset:
    return Dataset.from_dict(
        {
            "query": [group.query for group in groups],
            "documents": [[group.positive, *group.negatives] for group in groups],
            "labels": [[RELEVANT_LABEL] + [0.0] * len(group.negatives) for group in groups],
        }
    )


def evaluator(judged: Judged, orders: Orders) -> CrossEncoderRerankingEvaluator:
    samples: list[dict[str, str | list[str]]] = [
        {
            "query": text,
            "positive": judged.texts(judged.present(query)),
            "documents": judged.texts(orders[query]),
        }
        for query, text in judged.queries.items()
        if len(orders[query]) > 1  # one alone is always in order
    ]
    if not samples:
        raise NotMeasurable(f"{judged.name}: no validation query has two candidates")
    return CrossEncoderRerankingEvaluator(
        samples, name="validation", always_rerank_positives=False, write_csv=False
    )
