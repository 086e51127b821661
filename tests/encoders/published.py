"""Small checkpoints of families beside SPLADE's own, in the layouts of their authors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from .checkpoints import POSITIONS, random_model, write_json, write_plain


def write_opensearch(folder: Path, table: str = "idf.json") -> dict[str, float]:
    """OpenSearch's raw layout; returns the weights of tokens, special ones among them."""
    write_plain(folder, "distilbert")
    words = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    weights = {token: 0.5 + number / 16 for token, number in words.items()}
    if table == "idf.json":
        write_json(folder / table, weights)
    else:
        lines = [f"{token}\t{weight}\n" for token, weight in weights.items()]
        (folder / table).write_text("".join(lines), encoding="utf-8")
    return weights


def write_scalar(
    folder: Path,
    layers: dict[str, int],
    *,
    prefix: str = "",
    weights: str = "safetensors",
    dtype: torch.dtype = torch.float32,
) -> dict[str, torch.Tensor]:
    """A backbone and linear maps in one state dict; returns the maps by name.

    Args:
        folder: where.
        layers: names of the maps and their widths, the last 1.
        prefix: what stands before the backbone's names.
        weights: "safetensors" or "bin".
        dtype: of all weights.
    """
    from safetensors.torch import save_file

    write_plain(folder, "bert")
    (folder / "model.safetensors").unlink()
    backbone = random_model("bert", vocabulary_of(folder)).bert.state_dict()
    generator = torch.Generator().manual_seed(2)
    heads: dict[str, torch.Tensor] = {}
    for name, width in layers.items():
        heads[f"{name}.weight"] = torch.randn(width, 32, generator=generator) / 3
        heads[f"{name}.bias"] = torch.randn(width, generator=generator) / 3
    head_prefix = prefix.partition(".")[0] + "." if prefix.count(".") > 1 else ""
    tensors = {f"{prefix}{name}": tensor for name, tensor in backbone.items()}
    tensors |= {f"{head_prefix}{name}": tensor for name, tensor in heads.items()}
    tensors = {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}
    if weights == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    return {name: tensor.to(dtype).float() for name, tensor in heads.items()}


def write_bge_m3(folder: Path) -> dict[str, torch.Tensor]:
    """BGE-M3's layout: a backbone, its dense modules, and sparse_linear.pt in half floats."""
    write_plain(folder, "roberta", weights="bin")
    head = {"weight": torch.randn(1, 32).half(), "bias": torch.tensor([0.1]).half()}
    torch.save(head, folder / "sparse_linear.pt")
    write_json(folder / "modules.json", [{"idx": 0, "path": "", "type": "x.Transformer"}])
    return {name: tensor.float() for name, tensor in head.items()}


def write_adapter(folder: Path, base: Path, **settings: Any) -> dict[str, torch.Tensor]:
    """A LoRA adapter over a plain BERT; returns what it adds to weights, by their names."""
    from safetensors.torch import save_file

    folder.mkdir()
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "base_model_name_or_path": str(base)}
    write_json(folder / "adapter_config.json", config | settings)
    generator = torch.Generator().manual_seed(4)
    scale = 6 / (2 if settings.get("use_rslora") else 4)
    tensors, changes = {}, {}
    for name in ("bert.encoder.layer.0.attention.self.query", "cls.predictions.transform.dense"):
        down = torch.randn(4, 32, generator=generator) / 4
        up = torch.randn(32, 4, generator=generator) / 4
        tensors[f"base_model.model.{name}.lora_A.weight"] = down
        tensors[f"base_model.model.{name}.lora_B.weight"] = up
        changes[f"{name}.weight"] = scale * up @ down
    save_file(tensors, folder / "adapter_model.safetensors")
    return changes


def write_wide(folder: Path, vocabulary: int = 250_002) -> Path:
    """A masked language model of the multilingual vocabulary's size, 8 wide."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    config = transformers.XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=POSITIONS + 2,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    model = transformers.XLMRobertaForMaskedLM(config)
    with torch.no_grad():
        model.lm_head.bias.normal_(-1, 0.5)
    model.save_pretrained(folder)
    names = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{n}" for n in range(4, vocabulary))]
    words = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.add_special_tokens(names[:4])
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    words.save(str(folder / "tokenizer.json"))
    return folder


def vocabulary_of(folder: Path) -> int:
    """The size that config.json tells."""
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"])
