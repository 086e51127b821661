"""Cross-encoders: transformers that read a query and a text together and score the pair.

As monoBERT (Nogueira and Cho, arXiv 1901.04085): one pass through the model for every pair, so they
order the few documents that a search has found, and find none themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike, fspath

import numpy as np

from lexidex.errors import EncoderNotFound, ParameterError
from lexidex.index.vectors import Float32s

from .layouts.settings import CONFIG, read_lengths, read_licence
from .locating import locate

BATCH = 32
"""Pairs that pass through the model together."""

_log = logging.getLogger("lexidex")


class CrossEncoder:
    """A model for sequence classification, in a folder or on a model hub. Safe for many threads.

    Attributes:
        name: the folder or hub id.
        max_length: most tokens of a pair, special ones included; the longer of both texts is cut.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        revision: str | None = None,
        max_length: int | None = None,
        batch: int = BATCH,
    ) -> None:
        """Load the model.

        Args:
            path: a folder in transformers' layout, or the id of a model on the hub.
            revision: branch, tag or commit on the hub.
            max_length: at least 1; None for what the folder says, 512 where it does not.
            batch: pairs that pass through the model together, at least 1.

        Raises:
            EncoderNotFound: no such folder and no such model.
            CorruptFile: the folder cannot be loaded.
            ParameterError: an option is out of its range, or the model has no weights that make
                scores of pairs.
        """
        for name, value in (("max_length", max_length), ("batch", batch)):
            if value is not None and (isinstance(value, bool) or value < 1):
                raise ParameterError(f"{name}: {value!r}; expected a whole number above 0")
        self.name, _, folder = locate(fspath(path), revision, False)
        if not (folder / CONFIG).is_file():
            raise EncoderNotFound(
                f"cross-encoder {fspath(path)!r}: no folder with a {CONFIG}, and no "
                "organisation/model on the hub"
            )
        longest = read_lengths(folder, "document")[0]
        self.max_length = longest if max_length is None else max_length
        self._batch = batch
        from .backbones import Source, load_cross_encoder

        self._model, self._tokenizer = load_cross_encoder(Source(folder))
        self.licence = read_licence(folder)
        _log.info("%s: licence: %s", self.name, self.licence or "not stated")

    def use_device(self, device: str) -> None:
        """Compute on that device of torch's from now on."""
        self._model.to(device)

    def scores(self, queries: Sequence[str], texts: Sequence[str]) -> Float32s:
        """The score of each pair, float32 (pairs,): the logit, the last where there are several.

        Args:
            queries, texts: of each pair.
        """
        import torch

        found = np.empty(len(queries), dtype=np.float32)
        # Pairs of like length share a batch, so that little is padded.
        lengths = [len(query) + len(text) for query, text in zip(queries, texts, strict=True)]
        order = np.argsort(-np.array(lengths, dtype=np.int64), kind="stable")
        for first in range(0, len(order), self._batch):
            chosen = order[first : first + self._batch]
            tokens = self._tokenizer(
                [queries[row] for row in chosen],
                [texts[row] for row in chosen],
                truncation=True,
                max_length=self.max_length,
                padding=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**tokens.to(self._model.device)).logits
            found[chosen] = logits[:, -1].float().cpu().numpy()
        return found
