"""LoRA adapters, merged into the weights they adapt:  W += scale * B A.

Reads what PEFT writes: adapter_config.json and adapter_model.safetensors or .bin (Hu et al., arXiv
2106.09685; scale = alpha / r, with rank-stabilised scaling alpha / sqrt(r), arXiv 2312.03732).
Weights that were trained whole beside the adapter take the place of the model's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Float32s

from .json_file import read_json
from .weights import read_pickled, read_safetensors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
BIN = "adapter_model.bin"

_PREFIX = "base_model.model."
_PLAIN = ("use_dora", "use_qalora", "megatron_config", "trainable_token_indices")
"""Settings of other methods, which have to be off."""


def adapter_file(folder: Path) -> Path:
    """The file of the adapter's weights.

    Raises:
        CorruptFile: there is none.
    """
    for name in (WEIGHTS, BIN):
        if (folder / name).is_file():
            return folder / name
    raise CorruptFile(f"{folder}: an adapter without weights: neither {WEIGHTS} nor {BIN}")


def merge_adapter(model: Any, folder: Path) -> None:
    """Merge the adapter in `folder` into a torch module, in place.

    Raises:
        CorruptFile: a file is missing or unreadable, or adapts weights that the model lacks.
        ParameterError: the adapter is of a kind other than LoRA.
    """
    import torch

    config = read_json(folder / CONFIG)
    _check_kind(config, folder)
    file = adapter_file(folder)
    read = read_safetensors if file.suffix == ".safetensors" else read_pickled
    tensors = {_plain_name(name): tensor for name, tensor in read(file).items()}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name.endswith(".lora_B"):
                continue
            module, is_pair = name.removesuffix(".lora_A"), name.endswith(".lora_A")
            target = parameters.get(f"{module}.weight" if is_pair else name)
            change = _change(tensors, module, config) if is_pair else tensor
            if target is None or target.shape != change.shape:
                raise CorruptFile(f"{file}: adapts {module!r}, which the model does not have so")
            target.copy_(torch.from_numpy(change) + (target if is_pair else 0))


def _change(tensors: Mapping[str, Float32s], module: str, config: Mapping[str, Any]) -> Float32s:
    """What is added to a module's weight."""
    down, up = tensors[f"{module}.lora_A"], tensors.get(f"{module}.lora_B")
    if up is None or up.shape[1] != down.shape[0]:
        raise CorruptFile(f"adapter: {module!r} has no pair of matrices that fit each other")
    rank = down.shape[0]
    alpha = float(_for(module, config.get("alpha_pattern"), config.get("lora_alpha", rank)))
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    change: Float32s = up @ down * scale
    return change.T.copy() if config.get("fan_in_fan_out") else change


def _for(module: str, patterns: Any, otherwise: Any) -> Any:
    """The value whose pattern fits the end of a module's name, as PEFT looks it up."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return otherwise


def _check_kind(config: Mapping[str, Any], folder: Path) -> None:
    kind = config.get("peft_type")
    other = [name for name in _PLAIN if config.get(name)]
    if kind != "LORA" or other:
        raise ParameterError(
            f"{folder / CONFIG}: {other[0] if other else kind}; only plain LoRA can be merged"
        )


def _plain_name(name: str) -> str:
    """A weight's name without what PEFT puts around it."""
    name = name.removeprefix(_PREFIX).replace(".modules_to_save.", ".")
    name = name.replace(".base_layer.", ".").replace(".original_module.", ".")
    return re.sub(r"\.(lora_[AB])(\.default)?\.weight$", r".\1", name)
