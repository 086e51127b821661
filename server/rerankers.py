"""Which rerankers clients may name: those that the server was started with, and no folder else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Self

from lexidex.encoders.attention import FUSION
from lexidex.errors import ParameterError
from lexidex.rerankers import ATTENTION, AttentionReranker, Reranker, load_reranker
from lexidex.reranking import RerankParams

from .schemas import Rerank


class ServedRerankers:
    """Rerankers by the name that clients know them by; attention without maps is always one."""

    def __init__(self, rerankers: Mapping[str, Reranker] | None = None) -> None:
        """Serve these, by name."""
        self._rerankers: dict[str, Reranker] = {ATTENTION: AttentionReranker()}
        self._rerankers |= rerankers or {}

    @classmethod
    def load(cls, names: Sequence[str]) -> Self:
        """Load rerankers from folders or the hub; each is known by the last part of its name.

        Raises:
            ParameterError: two would have the same name.
            EncoderNotFound, CorruptFile: one cannot be loaded.
        """
        found: dict[str, Reranker] = {}
        for name in names:
            short = PurePath(name).name
            if short in found or short == ATTENTION:
                raise ParameterError(
                    f"--reranker {name}: another reranker is called {short!r} already; give its "
                    "folder another name"
                )
            found[short] = load_reranker(name)
        return cls(found)

    def params(self, asked: Rerank | None) -> RerankParams | None:
        """What a request asks for; None for nothing.

        Raises:
            ParameterError: no such reranker is served, or it is of another method.
        """
        if asked is None:
            return None
        reranker, fusion = self._chosen(asked), None
        if asked.fusion is not None:
            fusion = asked.fusion.params((reranker.fusion or FUSION).method)
        return RerankParams(reranker, asked.depth, fusion)

    def _chosen(self, asked: Rerank) -> Reranker:
        if asked.model is None and asked.method == "attention":
            return self._rerankers[ATTENTION]
        names = [name for name, one in self._rerankers.items() if one.method == asked.method]
        if asked.model is None and len(names) == 1:
            return self._rerankers[names[0]]
        if asked.model in names:
            return self._rerankers[asked.model]
        known = ", ".join(names) or "none; the server is to be started with --reranker"
        what = "name one" if asked.model is None else f"no {asked.method} {asked.model!r} here"
        raise ParameterError(f"rerank: {what}; of this method there is {known}")
