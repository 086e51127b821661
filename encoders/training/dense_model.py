"""A dense bi-encoder, to teach and to mine: one vector a text, pooled from its states.

Reads sentence-transformers' folder (modules.json: Transformer, Pooling, Normalize) by transformers
alone; a plain folder is pooled by its mean.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Float32s

from ..base import Texts
from ..batching import token_batches
from ..json_file import read_any_json, read_json
from ..layouts.settings import MODULES, TRANSFORMER

BATCH_TOKENS = 4096
"""Tokens that pass through the model together, padding included."""

_DEFAULT_LENGTH = 256


class DenseModel:
    """Text -> float32 (dim,); loads when it is made."""

    def __init__(
        self, folder: Path, *, max_length: int | None = None, device: str | None = None
    ) -> None:
        """Load the model in `folder`.

        Args:
            folder: config.json, weights and tokenizer.
            max_length: most tokens of a text; None for what the folder says.
            device: of torch; None for the CPU.

        Raises:
            CorruptFile: the folder cannot be loaded.
            ParameterError: a pooling other than the mean or the first token.
        """
        from transformers import AutoTokenizer

        from ..backbones import Source, load_backbone

        self.folder = folder
        self._first_token, self._normalize = _pooling(folder)
        self._device = device or "cpu"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise CorruptFile(f"{folder}: its tokenizer cannot be loaded: {error}") from None
        self._model = load_backbone(Source(folder)).to(self._device)
        said = read_json(folder / TRANSFORMER, missing={}).get("max_seq_length")
        limit = self._tokenizer.model_max_length  # a huge number where there is none
        self.max_length: int = max_length or said or min(limit, _DEFAULT_LENGTH)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._model.config.hidden_size)

    def encode(self, texts: Texts) -> Float32s:
        """Vectors of texts, float32 (len(texts), dim); of unit length where the folder says so."""
        import torch

        tokens = self._tokenizer(
            list(texts), truncation=True, max_length=self.max_length, return_attention_mask=False
        )["input_ids"]
        lengths = np.array([len(ids) for ids in tokens], dtype=np.int64)
        vectors = np.zeros((len(tokens), self.dim), dtype=np.float32)
        for batch in token_batches(lengths, BATCH_TOKENS):
            padded = self._tokenizer.pad(
                {"input_ids": [tokens[row] for row in batch]}, return_tensors="pt"
            ).to(self._device)
            with torch.inference_mode():
                states = self._model(**padded).last_hidden_state.float()
                mask = padded["attention_mask"][:, :, None]
                mean = (states * mask).sum(1) / mask.sum(1)
                pooled = states[:, 0] if self._first_token else mean
                if self._normalize:
                    pooled = torch.nn.functional.normalize(pooled)
            vectors[batch] = pooled.cpu().numpy()
        return vectors


def _pooling(folder: Path) -> tuple[bool, bool]:
    """Whether the first token stands for the text, and whether vectors get unit length."""
    modules = read_any_json(folder / MODULES, missing=[])
    kinds = {module["type"].rpartition(".")[2]: module["path"] for module in modules}
    settings = read_json(folder / kinds.get("Pooling", "1_Pooling") / "config.json", missing={})
    chosen = [
        name.removeprefix("pooling_mode_")
        for name, on in settings.items()
        if name.startswith("pooling_mode_") and on is True
    ] or [settings.get("pooling_mode", "mean_tokens")]
    if chosen not in (["mean_tokens"], ["cls_token"], ["mean"], ["cls"]):
        raise ParameterError(f"{folder}: pooling {chosen}; expected the mean or the first token")
    return chosen[0].startswith("cls"), "Normalize" in kinds
