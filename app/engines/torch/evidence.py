"""Evidence for a document, as a few numbers a pair: meaning, words, words of similar meaning."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

FEATURES: Final = ("cosine", "window_cosine", "stems", "phrases", "echo", "kin")


class Parts:
    """Which tokens belong to the query and which to the document, as 0/1 floats [batch, length]."""

    def __init__(self, attention_mask: Tensor, token_type_ids: Tensor) -> None:
        self.any = attention_mask.float()
        self.document = self.any * token_type_ids.float()
        self.query = self.any - self.document
        inside = self.query.cumsum(1) * self.query + self.document.cumsum(1) * self.document
        self.positions = (inside - 1).clamp(min=0).long()
        self.query_words = self.query * self.inner(self.query, inside)
        self.document_words = self.document * self.inner(self.document, inside)

    @staticmethod
    def inner(part: Tensor, inside: Tensor) -> Tensor:
        """1 where a token is neither the first nor the last of its part: no [CLS], no [SEP]."""
        return ((inside > 1) & (inside < part.sum(1, keepdim=True))).float()


def mean(states: Tensor, mask: Tensor) -> Tensor:
    return (mask[:, None] @ states)[:, 0] / mask.sum(1, keepdim=True).clamp(min=1)


def unit(states: Tensor) -> Tensor:
    return fn.normalize(states.float(), dim=-1, eps=1e-6)


def likeness(states: Tensor) -> Tensor:
    states = unit(states)
    return states @ states.transpose(1, 2)


def beyond(alike: Tensor, floor: Tensor) -> Tensor:
    """From 0 at the floor to 1 for equals, slowly at first."""
    return ((alike - floor) / (1 - floor)).clamp(0, 1).square()


def weighted(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1e-3)


class Evidence(nn.Module):
    """Counts are made as BM25 makes them: saturating, relative to length, weighted by rarity."""

    def __init__(self, vocabulary: int, width: int, window: int = 64) -> None:
        super().__init__()
        self.window = window
        self.weight = nn.Embedding(vocabulary, 1)
        self.center = nn.Parameter(torch.zeros(width))
        self.saturation = nn.Parameter(torch.tensor(0.9))
        self.slope = nn.Parameter(torch.tensor(0.4))
        self.usual_length = nn.Parameter(torch.tensor(128.0))
        self.stem_floor = nn.Parameter(torch.tensor(0.4))
        self.kin_floor = nn.Parameter(torch.tensor(0.4))

    def forward(self, ids: Tensor, words: Tensor, states: Tensor, parts: Parts) -> Tensor:
        with torch.autocast(ids.device.type, enabled=False):
            states = states.float()
            weight = self.weight(ids)[..., 0].float().clamp(min=0) * parts.query_words
            pairs = parts.query_words[:, :, None] * parts.document_words[:, None, :]
            same = (ids[:, :, None] == ids[:, None, :]).float() * pairs
            stems = torch.maximum(beyond(likeness(words), self.stem_floor.float()) * pairs, same)
            kin = beyond(likeness(states - self.center.float()), self.kin_floor.float()) * pairs
            length = parts.document_words.sum(1, keepdim=True)
            query = unit(mean(states, parts.query))
            whole = (query * unit(mean(states, parts.document))).sum(-1)
            features = [
                whole,
                torch.maximum(whole, self.best_window(query, states, parts)),
                weighted(self.saturate(stems.sum(2), length), weight),
                self.phrases(same, weight, length),
                weighted((likeness(states) * pairs).amax(2), weight),
                weighted(self.saturate(kin.sum(2), length), weight),
            ]
            return torch.stack(features, 1)

    def best_window(self, query: Tensor, states: Tensor, parts: Parts) -> Tensor:
        room, step = (self.window, self.window), self.window // 2
        seen = (states * parts.document[..., None]).transpose(1, 2)
        sums = fn.avg_pool1d(fn.pad(seen, room), self.window, step).transpose(1, 2)
        held = fn.avg_pool1d(fn.pad(parts.document[:, None], room), self.window, step)[:, 0]
        near = (unit(sums) @ query[..., None])[..., 0]
        return torch.where(held > 0.2, near, -torch.ones_like(near)).amax(1)

    def phrases(self, same: Tensor, weight: Tensor, length: Tensor) -> Tensor:
        """Words that follow each other in both."""
        runs = fn.pad(same[:, :-1, :-1] * same[:, 1:, 1:], (0, 1, 0, 1))
        both = (weight + fn.pad(weight[:, 1:], (0, 1))) / 2
        total = (both * self.saturate(runs.sum(2), length)).sum(1)
        return total / weight.sum(1).clamp(min=1e-3)

    def saturate(self, counts: Tensor, length: Tensor) -> Tensor:
        slope = self.slope.float()
        pace = self.saturation.float() * (1 - slope + slope * length / self.usual_length.float())
        return counts / (counts + pace.clamp(min=0.05))
