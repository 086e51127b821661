"""A world small enough to train in: queries say one word of a synonym pair, documents the other.

No query shares a content word with its documents, so whoever finds them has learned it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lexidex.encoders.training.pairs import Pairs

SYNONYMS = 24
"""Pairs of words, q0 and d0, q1 and d1, and so on."""

FILLERS = 40
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tiny_pairs(n: int = 270, seed: int = 0) -> Pairs:
    """Queries of two words, each with the one document that has both their synonyms."""
    rng = np.random.default_rng(seed)
    combinations = [(a, b) for a in range(SYNONYMS) for b in range(a + 1, SYNONYMS)]
    chosen = rng.choice(len(combinations), n, replace=False)
    queries, documents = [], []
    for a, b in (combinations[row] for row in chosen):
        fillers = [f"f{word}" for word in rng.integers(0, FILLERS, 6)]
        words = [f"d{a}", f"d{b}", *fillers]
        queries.append(f"q{a} q{b}")
        documents.append(" ".join(words[place] for place in rng.permutation(len(words))))
    rows = [np.array([row], dtype=np.int64) for row in range(n)]
    return Pairs([f"q{i}" for i in range(n)], queries, [f"d{i}" for i in range(n)], documents, rows)


def write_pairs(path: Path, pairs: Pairs) -> Path:
    """The pairs as JSON lines."""
    lines = [
        json.dumps({"query": query, "text": pairs.documents[row]})
        for query, rows in zip(pairs.queries, pairs.positives, strict=True)
        for row in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_tokenizer(folder: Path) -> int:
    """A BERT tokenizer whose words are those of the pairs; returns how many."""
    from transformers import BertTokenizer

    words = [f"{kind}{word}" for kind in "qd" for word in range(SYNONYMS)]
    tokens = [*SPECIAL, *words, *(f"f{word}" for word in range(FILLERS))]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    return len(tokens)


def write_backbone(
    folder: Path, kind: str = "BertForMaskedLM", seed: int = 0, layers: int = 2
) -> Path:
    """A random BERT of a class of transformers, with the tokenizer above."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=write_tokenizer(folder),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        num_labels=1,
    )
    getattr(transformers, kind)(config).save_pretrained(folder)
    return folder
