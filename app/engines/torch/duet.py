"""A cross-encoder that starts as a bi-encoder and a lexical ranker, and learns more from there.

Query and document share one sequence, `[CLS] query [SEP] [CLS] document [SEP]`; `token_type_ids`
distinguish the parts, and positions restart at the second. Gates (a bias per head, one each way)
limit attention across the parts: shut, the two parts are encoded as all-MiniLM-L6-v2 would encode
them separately.

Importing this module teaches `transformers`' Auto classes, and so `sentence_transformers`, to
load such a model from its folder.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from app.engines.torch.evidence import FEATURES, Evidence, Parts

SHUT = -1e4
# Words as embedded, and the last states.
Halfway = tuple[Tensor, Tensor]


class DuetConfig(BertConfig):  # type: ignore[no-untyped-call]
    model_type = "duet"

    def __init__(self, **values: Any) -> None:
        values.setdefault("num_labels", 1)
        super().__init__(**values)


class Sides:
    """Gates and padding as extra dimensions of attention's queries and keys.

    Their products add the gate to a score across the parts, and shut padding out, so attention
    needs no mask of length by length.
    """

    # Three are in use; the rest keeps fused kernels aligned.
    width = 8

    def __init__(self, parts: Parts) -> None:
        self.query, self.document = parts.query[:, None, :], parts.document[:, None, :]
        self.padding = 1 - parts.any[:, None, :]

    def for_queries(self, gates: Tensor) -> Tensor:
        out, back = gates
        rows = [self.query * out, self.document * back, torch.ones_like(self.query * out)]
        return fn.pad(torch.stack(rows, -1), (0, self.width - len(rows)))

    def for_keys(self, heads: int) -> Tensor:
        rows = torch.stack([self.document, self.query, self.padding * SHUT], -1)
        return fn.pad(rows, (0, self.width - 3)).expand(-1, heads, -1, -1)


class Layer(nn.Module):
    """BERT's transformer layer, with gates between the two parts."""

    def __init__(self, config: DuetConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.mix = nn.Linear(width, width)
        self.mix_norm = nn.LayerNorm(width, eps)
        self.up = nn.Linear(width, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, width)
        self.down_norm = nn.LayerNorm(width, eps)

    def split(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], self.heads, -1).transpose(1, 2)

    def attend(self, states: Tensor, gates: Tensor, sides: Sides) -> Tensor:
        query, key, value = (self.split(p(states)) for p in (self.query, self.key, self.value))
        scale = key.shape[-1] ** -0.5
        query = torch.cat([query, sides.for_queries(gates).to(query.dtype)], -1)
        key = torch.cat([key * scale, sides.for_keys(self.heads).to(key.dtype)], -1)
        if self.training or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            # On a CPU under autocast these products train twice as fast as the fused kernel,
            # and a converter fuses them in its own way.
            mixed = (query @ key.transpose(-1, -2)).softmax(-1).to(value.dtype) @ value
        else:
            width = value.shape[-1]
            value = fn.pad(value, (0, Sides.width))
            mixed = fn.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :width]
        return mixed.transpose(1, 2).flatten(2)

    def forward(self, states: Tensor, gates: Tensor, sides: Sides) -> Tensor:
        mixed = self.mix(self.attend(states, gates, sides))
        states = self.mix_norm(states + mixed)
        grown: Tensor = self.down_norm(states + self.down(fn.gelu(self.up(states))))
        return grown


class Head(nn.Module):
    """Evidence in, logit out: a linear function of it, plus what `[CLS]` has learned to add."""

    def __init__(self, config: DuetConfig) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(len(FEATURES)))
        self.scale = nn.Parameter(torch.ones(len(FEATURES)))
        self.line = nn.Linear(len(FEATURES), 1)
        self.joint = nn.Linear(config.hidden_size, 1, bias=False)

    def forward(self, evidence: Tensor, joint: Tensor) -> Tensor:
        with torch.autocast(evidence.device.type, enabled=False):
            scaled = (evidence - self.shift.float()) * self.scale.float()
            score = fn.linear(scaled, self.line.weight.float(), self.line.bias.float())
            return score + fn.linear(joint.float(), self.joint.weight.float())


class Duet(PreTrainedModel):  # type: ignore[no-untyped-call]
    config_class = DuetConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    config: DuetConfig

    def __init__(self, config: DuetConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.word = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        self.position = nn.Embedding(config.max_position_embeddings, width)
        self.norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        shape = (config.num_hidden_layers, 2, config.num_attention_heads, 1)
        self.gates = nn.Parameter(torch.full(shape, SHUT))
        self.evidence = Evidence(config.vocab_size, width)
        self.head = Head(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        if isinstance(module, Head):
            nn.init.zeros_(module.joint.weight)

    @property
    def apart(self) -> int:
        """So many lower layers have shut gates only: in them the parts do not see each other."""
        shut = (self.gates <= SHUT).flatten(1).all(1).tolist()
        return next((number for number, each in enumerate(shut) if not each), len(shut))

    def encode(
        self,
        words: Tensor,
        parts: Parts,
        below: Sequence[Tensor] = (),
        layers: int | None = None,
    ) -> list[Tensor]:
        """The states after each layer; `below` are those of the first ones, already computed."""
        after, sides = list(below), Sides(parts)
        if not after:
            states = self.norm(words + self.position(parts.positions))
        for number in range(len(after), len(self.layers) if layers is None else layers):
            states = self.layers[number](after[-1] if after else states, self.gates[number], sides)
            after.append(states)
        return after

    def weigh(self, ids: Tensor, words: Tensor, states: Sequence[Tensor], parts: Parts) -> Tensor:
        evidence: Tensor = self.evidence(ids, words, states[-1], parts)
        return evidence

    def judge(self, ids: Tensor, words: Tensor, states: Sequence[Tensor], parts: Parts) -> Tensor:
        logits: Tensor = self.head(self.weigh(ids, words, states, parts), states[-1][:, 0])
        return logits

    def lower(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """The states of layers that compute the same for a part alone and beside another."""
        words, parts = self.word(input_ids), Parts(attention_mask, token_type_ids)
        return self.encode(words, parts, layers=self.apart)[-1]

    def body(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        lower: Tensor | None = None,
    ) -> Halfway:
        """The part that may be computed roughly; `lower` states may be known."""
        words, parts = self.word(input_ids), Parts(attention_mask, token_type_ids)
        below = [] if lower is None else [lower] * self.apart
        return words, self.encode(words, parts, below)[-1]

    def tail(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        words: Tensor,
        states: Tensor,
    ) -> Tensor:
        """The part that needs full precision: counts, and small differences of cosines."""
        return self.judge(input_ids, words, [states], Parts(attention_mask, token_type_ids))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        **_: Any,
    ) -> SequenceClassifierOutput:
        read = (input_ids, attention_mask, token_type_ids)
        return SequenceClassifierOutput(logits=self.tail(*read, *self.body(*read)))


AutoConfig.register("duet", DuetConfig)
AutoModelForSequenceClassification.register(DuetConfig, Duet)
