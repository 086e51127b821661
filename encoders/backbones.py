"""Backbones, from a folder into memory: transformers models, whatever the weights' names and types.

Weights are float32 in memory; adapters (LoRA) are merged. Imports torch: only to be imported once
a model is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lexidex.errors import CorruptFile, ParameterError

from .heads import headless
from .lora import merge_adapter
from .weights import is_packed, prefix_of, read_tensors, tensor_names, weight_files


@dataclass(frozen=True)
class Source:
    """Where a model is, and how far it is trusted.

    Attributes:
        folder: config.json and weights.
        adapter: a folder with a LoRA adapter, or None.
        trust_remote_code: whether code from the model's repository may run.
        untrained: whether a head that the folder lacks is made, with random weights.
    """

    folder: Path
    adapter: Path | None = None
    trust_remote_code: bool = False
    untrained: bool = False


def load_masked_lm(source: Source) -> Any:
    """The model for masked language modelling, with its head.

    Raises:
        CorruptFile: it cannot be loaded.
        ParameterError: its head is missing, or it needs code that is not trusted.
    """
    from transformers import AutoModelForMaskedLM

    return _loaded(AutoModelForMaskedLM, source)


def load_backbone(source: Source) -> Any:
    """The model without any head; see `load_masked_lm`.

    Weights may stand under a prefix, as in checkpoints of models that have this one as a part.
    """
    from transformers import AutoModel

    prefix = prefix_of(tensor_names(weight_files(source.folder)))
    if prefix.count(".") < 2:  # transformers itself looks under "bert." and the like
        return _loaded(AutoModel, source, may_lack="pooler.")
    config = read_config(source)
    with _telling(source.folder), quiet_transformers():
        tensors = read_tensors(source.folder, prefix)
        weights = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
        untyped: Any = AutoModel
        model = untyped.from_config(config, dtype=torch.float32)
        missing = model.load_state_dict(weights, strict=False).missing_keys
    _check_complete(missing, source, "pooler.")
    model.name_or_path = str(source.folder)
    return _merged(model, source)


def read_config(source: Source) -> Any:
    """The model's settings, as transformers has them."""
    from transformers import AutoConfig

    with _telling(source.folder):
        return AutoConfig.from_pretrained(
            source.folder,
            trust_remote_code=source.trust_remote_code,
            local_files_only=not source.trust_remote_code,
        )


def load_cross_encoder(source: Source) -> tuple[Any, Any]:
    """A model for sequence classification, in evaluation mode, and its tokenizer.

    Raises:
        CorruptFile: it cannot be loaded.
        ParameterError: its head is missing.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    untyped: Any = AutoTokenizer
    with _telling(source.folder), quiet_transformers():
        tokenizer = untyped.from_pretrained(source.folder, local_files_only=True)
    return _loaded(AutoModelForSequenceClassification, source), tokenizer


def _loaded(auto: Any, source: Source, may_lack: str | None = None) -> Any:
    if is_packed(tensor_names(weight_files(source.folder))):
        return _unpacked(auto, source, may_lack)
    with _telling(source.folder), quiet_transformers():
        model, report = auto.from_pretrained(
            source.folder,
            dtype=torch.float32,
            trust_remote_code=source.trust_remote_code,
            local_files_only=not source.trust_remote_code,
            output_loading_info=True,
        )
    if not source.untrained:
        _check_complete(report["missing_keys"], source, may_lack)
    return _merged(model, source)


def _unpacked(auto: Any, source: Source, may_lack: str | None) -> Any:
    """A model whose weights transformers itself cannot read."""
    config = read_config(source)
    with _telling(source.folder), quiet_transformers():
        tensors = read_tensors(source.folder, "")
        weights = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
        prefix, trusted = prefix_of(set(weights)), source.trust_remote_code
        model = auto.from_config(config, dtype=torch.float32, trust_remote_code=trusted)
        if prefix and not hasattr(model, prefix.rstrip(".")):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
        missing = model.load_state_dict(weights, strict=False).missing_keys
    # A tied weight is stored once, under one of its names.
    filled = {id(tensor) for name, tensor in model.named_parameters() if name in weights}
    named = dict(model.named_parameters(remove_duplicate=False))
    if not source.untrained:
        lacking = [name for name in missing if id(named.get(name)) not in filled]
        _check_complete(lacking, source, may_lack)
    model.name_or_path = str(source.folder)
    return _merged(model, source)


def _merged(model: Any, source: Source) -> Any:
    if source.adapter is not None:
        merge_adapter(model, source.adapter)
    return model.eval()


def _check_complete(missing: Iterable[str], source: Source, may_lack: str | None) -> None:
    names = sorted(missing)
    if may_lack is not None:
        names = [name for name in names if not name.startswith(may_lack)]
    if names:
        raise headless(source.folder, names)


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    """Turn what transformers, torch and safetensors raise into one line about the folder."""
    try:
        yield
    except (MemoryError, ParameterError, CorruptFile):
        raise
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise ParameterError(
                f"{folder}: this model needs code from its repository; read that code, then "
                "load it with trust_remote_code=True, and open its collections so, on the command "
                "line by --trust-remote-code"
            ) from error
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise CorruptFile(f"{folder}: the model cannot be loaded ({reason})") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing progress bars and reports; what matters is raised instead."""
    from transformers.utils import logging as untyped

    report: Any = untyped
    level, bars = report.get_verbosity(), report.is_progress_bar_enabled()
    report.set_verbosity(logging.CRITICAL)
    report.disable_progress_bar()
    try:
        yield
    finally:
        report.set_verbosity(level)
        if bars:
            report.enable_progress_bar()
