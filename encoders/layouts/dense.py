"""Dense models' layout: sentence-transformers' modules, or a plain transformers folder.

A Transformer and Pooling, perhaps Dense layers behind them, perhaps Normalize. A plain folder does
not tell how its states become one vector; that has to be given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from lexidex.errors import EncoderNotFound, ParameterError
from lexidex.index.dense import Metric

from ..json_file import read_json
from .sentence_transformers import Module, read_modules
from .settings import (
    CONFIG,
    MODULES,
    SENTENCE_TRANSFORMERS,
    TRANSFORMER,
    read_lengths,
    read_licence,
    read_prompts,
)

Strategy: TypeAlias = Literal["cls", "mean", "max", "mean_sqrt_len", "lasttoken"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
"""How states of positions become one vector; in this order where a model joins several."""

_METRICS: dict[str, Metric] = {"cosine": "cosine", "dot": "inner-product"}


@dataclass(frozen=True)
class DenseSpec:
    """How texts become dense vectors.

    Attributes:
        folder: config.json, weights and tokenizer.
        pooling: one strategy, or several whose vectors are joined.
        layers: folders of linear layers behind the pooling.
        normalize: whether vectors get unit length.
        metric: how they are compared.
        max_length, query_max_length: most tokens, special ones included.
        prompt, query_prompt: what texts are preceded by.
    """

    folder: Path
    pooling: tuple[Strategy, ...]
    layers: tuple[Path, ...]
    normalize: bool
    metric: Metric
    max_length: int
    query_max_length: int
    prompt: str = ""
    query_prompt: str = ""
    lowercase: bool = False
    licence: str | None = None


def read_dense(folder: Path, pooling: str | None = None) -> DenseSpec:
    """What the folder holds; reads settings, no weights and no tokenizer.

    Args:
        pooling: one of STRATEGIES, for a folder that does not tell.

    Raises:
        EncoderNotFound: no such folder, or no layout known here.
        CorruptFile: a file is missing or unreadable.
        ParameterError: the modules make no dense vectors known here; or pooling is not given where
            the folder does not tell, or is where it does.
    """
    if pooling is not None and pooling not in STRATEGIES:
        raise ParameterError(f"pooling: {pooling!r}; expected one of {', '.join(STRATEGIES)}")
    if not (folder / MODULES).is_file():
        if not (folder / CONFIG).is_file():
            raise EncoderNotFound(f"dense encoder {str(folder)!r}: no {MODULES} or {CONFIG} there")
        if pooling is None:
            raise ParameterError(
                f"{folder}: does not tell how states become one vector; give pooling: "
                + ", ".join(STRATEGIES)
            )
        return _spec(folder, folder, (pooling,), (), normalize=False)
    modules = read_modules(folder)
    if pooling is not None:
        raise ParameterError(f"pooling: {pooling!r}; {folder / MODULES} tells how; leave it out")
    kinds = [kind for kind, _ in modules]
    layers = tuple(path for kind, path in modules if kind == "Dense")
    expected = ["Transformer", "Pooling", *["Dense"] * len(layers)]
    if kinds[: len(expected)] != expected or kinds[len(expected) :] not in ([], ["Normalize"]):
        raise ParameterError(
            f"{folder / MODULES}: modules {' + '.join(kinds) or 'none'} are not supported; "
            "expected Transformer and Pooling, perhaps Dense and Normalize"
        )
    return _spec(
        folder, modules[0][1], _pooling(modules[1]), layers, normalize=kinds[-1] == "Normalize"
    )


def _spec(
    root: Path,
    folder: Path,
    pooling: tuple[Strategy, ...],
    layers: tuple[Path, ...],
    *,
    normalize: bool,
) -> DenseSpec:
    settings = read_json(root / SENTENCE_TRANSFORMERS, missing={})
    prompts = read_prompts(root)
    default = prompts.get(str(settings.get("default_prompt_name")), "")
    named = next((prompts[n] for n in ("document", "passage", "corpus") if n in prompts), default)
    similarity = settings.get("similarity_fn_name") or "cosine"
    if similarity not in _METRICS:
        raise ParameterError(
            f"{root / SENTENCE_TRANSFORMERS}: similarity_fn_name {similarity!r}; expected one of "
            + ", ".join(_METRICS)
        )
    return DenseSpec(
        folder,
        pooling,
        layers,
        normalize,
        _METRICS[similarity],
        max_length=read_lengths(folder, "document")[0],
        query_max_length=read_lengths(folder, "query")[0],
        prompt=named,
        query_prompt=prompts.get("query") or default,
        lowercase=bool(read_json(folder / TRANSFORMER, missing={}).get("do_lower_case")),
        licence=read_licence(root),
    )


def _pooling(module: Module) -> tuple[Strategy, ...]:
    """The strategies of a Pooling module, by the flags of old files or the name in new ones."""
    file = module[1] / CONFIG
    settings = read_json(file)
    named = settings.get("pooling_mode")
    flags = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
        "pooling_mode_lasttoken": "lasttoken",
    }
    chosen = [named] if isinstance(named, str) else named or []
    chosen = chosen or [strategy for flag, strategy in flags.items() if settings.get(flag)]
    on = [name for name, value in settings.items() if value is True]
    unknown = [name for name in on if name.startswith("pooling_mode_") and name not in flags]
    unknown += [name for name in chosen if name not in STRATEGIES]
    if unknown or not chosen:
        raise ParameterError(
            f"{file}: pooling {unknown or chosen}; expected of {', '.join(STRATEGIES)}"
        )
    return tuple(strategy for strategy in STRATEGIES if strategy in chosen)
