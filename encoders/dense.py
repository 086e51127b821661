"""Dense encoders: text -> one vector of fixed length. What hybrid search asks of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from lexidex.index.dense import Metric
from lexidex.index.vectors import Float32s

from .base import Texts


class DenseEncoder(ABC):
    """Text -> float32 vectors that are compared by `metric`."""

    kind: ClassVar[str]
    """The name of the family, as `load_dense_encoder` and stored collections know it."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Dimensions of a vector."""

    @property
    @abstractmethod
    def metric(self) -> Metric:
        """How vectors are compared: "cosine" or "inner-product"."""

    @property
    def trusts_remote_code(self) -> bool:
        """Whether code that the model's repository brings may run."""
        return False

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What `load_dense_encoder(kind, **options)` needs to make this encoder again."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Equal for two encoders exactly when their vectors may stand in one collection."""

    @abstractmethod
    def encode_documents(self, texts: Texts) -> Float32s:
        """Document vectors, float32 (len(texts), dim)."""

    @abstractmethod
    def encode_queries(self, texts: Texts) -> Float32s:
        """Query vectors, float32 (len(texts), dim)."""

    def keeping(self) -> AbstractContextManager[None]:
        """Within it, a text whose sparse vector was drafted just now need not be encoded again."""
        return nullcontext()

    def warm_up(self) -> None:
        """Do now what would make a first query slow: load the model that encodes it."""
        self.encode_queries(["warm up"])
