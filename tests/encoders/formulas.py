"""Published families by their formulas: transformers for the states, then plain tensors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

SPECIAL = {0, 1, 2, 3, 4}
"""[PAD], [UNK], [CLS], [SEP] and [MASK] of the small checkpoints."""


class ByHand:
    """One model's vectors, text by text, without padding, tiles or anything else of ours."""

    def __init__(self, folder: Path, max_length: int = 64) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForMaskedLM.from_pretrained(folder).eval()
        self.max_length = max_length
        head = folder / "scalar_head.safetensors"
        self.head = load_file(head) if head.is_file() else {}

    def read(self, text: str) -> tuple[list[int], torch.Tensor, torch.Tensor]:
        """Ids, hidden states (length, width) and scores (length, vocabulary) of a text."""
        given = self.tokenizer(
            text, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        with torch.no_grad():
            found = self.model(**given, output_hidden_states=True)
        return given["input_ids"][0].tolist(), found.hidden_states[-1][0], found.logits[0]

    def linear(self, name: str, states: torch.Tensor) -> torch.Tensor:
        """A linear map onto one number."""
        return states @ self.head[f"{name}.0.weight"][0] + self.head[f"{name}.0.bias"][0]

    def spread(self, ids: list[int], weights: torch.Tensor, fold: Any, left_out: set[int]) -> Any:
        """Weights of positions as a vector over the vocabulary."""
        vector = np.zeros(self.model.config.vocab_size)
        for number, weight in zip(ids, weights.tolist(), strict=True):
            if number not in left_out:
                vector[number] = fold(vector[number], weight)
        return vector

    def binary(self, text: str) -> Any:
        """1 for each token that is not special."""
        ids = set(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return np.isin(np.arange(self.model.config.vocab_size), list(ids - SPECIAL)).astype(float)

    # Names of methods below are those of presets; each gives a document and a query.

    def splade(self, text: str) -> tuple[Any, Any]:
        weights = self.read(text)[2].relu().log1p().sum(0).numpy()
        return weights, weights

    def splade_max(self, text: str) -> tuple[Any, Any]:
        weights = self.read(text)[2].relu().log1p().amax(0).numpy()
        return weights, weights

    efficient_splade = splade_max

    def splade_doc(self, text: str) -> tuple[Any, Any]:
        return self.splade_max(text)[0], self.binary(text)

    def splade_lexical(self, text: str) -> tuple[Any, Any]:
        weights = self.splade_max(text)[0]
        own = self.binary(self.tokenizer.decode(self.read(text)[0][1:-1]))
        return weights, weights * own

    def splade_top_k(self, text: str) -> tuple[Any, Any]:
        return tuple(largest(self.splade_max(text)[0], k) for k in (32, 5))

    def cls_mlm(self, text: str) -> tuple[Any, Any]:
        weights = self.read(text)[2][0].relu().log1p().numpy()
        return weights, weights

    def inference_free_v2(self, text: str) -> tuple[Any, Any]:
        return self.splade_max(text)[0], None

    li_lsr = inference_free_v1 = inference_free_v2

    def inference_free_v3(self, text: str) -> tuple[Any, Any]:
        return self.read(text)[2].relu().log1p().log1p().amax(0).numpy(), None

    def unicoil(self, text: str) -> tuple[Any, Any]:
        ids, states, _ = self.read(text)
        weights = self.linear("scalar", states).relu()
        return tuple(self.spread(ids, weights, fold, {0, 2}) for fold in (max, sum_of))

    def tilde_v2(self, text: str) -> tuple[Any, Any]:
        return self.unicoil(text)[0], self.binary(text)

    def bge_m3(self, text: str) -> tuple[Any, Any]:
        ids, states, _ = self.read(text)
        weights = self.spread(ids, self.linear("scalar", states).relu(), max, {0, 1, 2, 3})
        return weights, weights

    def sparta(self, text: str) -> tuple[Any, Any]:
        embeddings = self.model.get_input_embeddings().weight.detach()
        weights = (self.read(text)[1] @ embeddings.T).amax(0).relu().log1p().numpy()
        weights[list(SPECIAL)] = 0
        return weights, self.binary(text)

    def epic(self, text: str) -> tuple[Any, Any]:
        ids, states, scores = self.read(text)
        quality = torch.sigmoid(self.linear("quality", states[0]))
        own = [place for place, number in enumerate(ids) if number not in SPECIAL]
        document = np.zeros(scores.shape[1])
        if own:
            importance = twice(self.linear("importance", states[own]))
            document = (twice(scores[own]) * importance[:, None]).amax(0) * quality
            document = document.numpy()
        salience = twice(self.linear("scalar", states))
        return document, self.spread(ids, salience, sum_of, SPECIAL)

    def deepct(self, text: str) -> dict[str, float]:
        """As its authors fold places, in bert_term_sample_to_json.py:
        selected_tokens[token] = max(tf, selected_tokens.get(token, 0))."""
        return self.words(text, max)

    def deep_impact(self, text: str) -> dict[str, float]:
        return self.words(text, lambda first, _: first)

    deeper_impact = deep_impact

    def words(self, text: str, fold: Any) -> dict[str, float]:
        """Weights of words, of ASCII letters and marks: each place by the word's first piece."""
        _, states, _ = self.read(text)
        weights = self.linear("scalar", states).relu().tolist()
        found: dict[str, float] = {}
        position = 1
        for word in re.findall(r"\w+|[^\w\s]", text.lower()):
            if position >= self.max_length - 1:
                break
            if word.isalnum():
                weight = weights[position]
                found[word] = fold(found[word], weight) if word in found else weight
            position += len(self.tokenizer.tokenize(word))
        return found


def largest(weights: Any, k: int) -> Any:
    """The k largest values; lower components first among equals."""
    order = np.lexsort((np.arange(weights.size), -weights))[:k]
    return np.where(np.isin(np.arange(weights.size), order), weights, 0)


def sum_of(a: float, b: float) -> float:
    """Of two."""
    return a + b


def twice(scores: torch.Tensor) -> torch.Tensor:
    """log(1 + softplus(x)), spelt out."""
    return torch.log(1 + torch.log(1 + torch.exp(scores)))
