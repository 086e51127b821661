"""Small random checkpoints in the layouts that models are published in."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

TEXTS = [
    "Sparse vectors are searched by inverted indexes.",
    "",
    "a",
    "the weather in New York is rainy today, " * 40,
    "   Leading spaces, CAPITALS and naïve café accents   ",
    "稀疏检索 和 поиск по словарю, بحث, ค้นหา 🙂",
    "What's the [MASK] of an unknowable zzyzx?",
    "query and document, " * 6,
]
"""Very different lengths, an empty text, other scripts, words that no tokenizer here knows."""

POSITIONS = 64
"""Tokens that the models can take."""


def write_json(file: Path, content: Any) -> None:
    """Write a JSON file, and the folders that lead to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def write_plain(
    folder: Path, architecture: str = "bert", *, weights: str = "safetensors", seed: int = 0
) -> Path:
    """A checkpoint in transformers' layout.

    Args:
        folder: where.
        architecture: "bert", "distilbert", "roberta", or "electra" and "modernbert", of which the
            head is not known part by part.
        weights: "safetensors" or "bin".
        seed: of the random weights.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    words = _words("byte-level" if architecture in ("roberta", "modernbert") else "wordpiece")
    vocabulary = len(words)
    model = random_model(architecture, vocabulary, seed)
    model.save_pretrained(folder)
    if weights == "bin":
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    words.save_pretrained(folder)
    return folder


def write_word_weigher(folder: Path, preset: str, backbone: Path) -> Path:
    """A random model of a family whose terms are words, which gives every word some weight."""
    import torch
    from safetensors.torch import load_file, save_file

    from lexidex.encoders.creation import create

    torch.manual_seed(0)
    create(preset, backbone, folder)
    head = folder / "scalar_head.safetensors"
    tensors = load_file(head)
    tensors["scalar.0.bias"] += 3
    save_file(tensors, head)
    return folder


def write_remote(folder: Path, sprung: Path) -> Path:
    """A model whose code lies beside it, and leaves a file when it runs."""
    write_plain(folder)
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "renamed.Config", "AutoModelForMaskedLM": "renamed.Model"}
    write_json(folder / "config.json", config | {"model_type": "unheard-of", "auto_map": names})
    (folder / "renamed.py").write_text(
        f"open({str(sprung)!r}, 'w').close()\n"
        "from transformers import BertConfig, BertForMaskedLM\n"
        "class Config(BertConfig):\n    model_type = 'unheard-of'\n"
        "class Model(BertForMaskedLM):\n    config_class = Config\n"
    )
    return folder


def write_cross_encoder(folder: Path, *, n_labels: int = 1, seed: int = 0) -> Path:
    """A model that scores pairs of texts, in transformers' layout; as large as `write_plain`'s."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    write_plain(folder)
    config = AutoConfig.from_pretrained(folder, num_labels=n_labels)
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config)
    # Of a random model's tiny weights every score would be about the same.
    for weights in model.parameters():
        weights.data.mul_(5)
    model.save_pretrained(folder)
    return folder


def write_sentence_transformers(
    folder: Path,
    architecture: str = "bert",
    *,
    pooling: str = "max",
    activation: str | None = "relu",
    names: str = "new",
    prompts: dict[str, str] | None = None,
    **settings: Any,
) -> Path:
    """A checkpoint in sentence-transformers' layout, one model for both sides.

    Args:
        folder: where.
        architecture: see `write_plain`.
        pooling: "max" or "sum".
        activation: None leaves it out.
        names: "new" or "old" module names.
        prompts: what texts are preceded by.
        settings: more of sentence_bert_config.json.
    """
    write_plain(folder, architecture)
    types = _types(names)
    modules = [("0", "", types["Transformer"]), ("1", "1_SpladePooling", types["SpladePooling"])]
    write_modules(folder, modules)
    if names == "new":
        settings["transformer_task"] = "fill-mask"
    write_json(folder / "sentence_bert_config.json", settings)
    write_pooling(folder / "1_SpladePooling", pooling, activation)
    write_model_config(folder, prompts)
    return folder


def write_router(
    folder: Path,
    *,
    table: str = "tensor",
    names: str = "new",
    activation: str = "log1p_relu",
    router: str = "Router",
) -> Path:
    """A checkpoint with inference-free queries: the document model at the root, a Router above.

    Args:
        folder: where.
        table: "tensor" or "bin" for a tensor of weights, "json" for idf.json.
        names: "new" or "old" module names; "idf" for the oldest one of the table.
        activation: of the documents.
        router: the router's name, "Asym" for the former one.
    """
    write_plain(folder, "distilbert")
    types = _types("old" if names == "idf" else names)
    types["Router"] = types["Router"].replace("Router", router)
    kind = "IDF" if names == "idf" else "SparseStaticEmbedding"
    queries = f"query_0_{kind}"
    write_modules(folder, [("0", "", types["Router"])])
    structure = {"query": [queries], "document": ["", "document_1_SpladePooling"]}
    static = types["SparseStaticEmbedding"].replace("SparseStaticEmbedding", kind)
    parameters = {"default_route": "document", "allow_empty_key": True}
    write_json(
        folder / "router_config.json",
        {
            "types": {
                queries: static,
                "": types["Transformer"],
                "document_1_SpladePooling": types["SpladePooling"],
            },
            "structure": structure,
            "parameters": parameters,
        },
    )
    if names == "new":
        write_json(folder / "sentence_bert_config.json", {"transformer_task": "fill-mask"})
    write_pooling(folder / "document_1_SpladePooling", "max", activation)
    write_table(folder / queries, table)
    write_model_config(folder)
    return folder


def write_asym(folder: Path) -> Path:
    """`write_router`'s checkpoint under the former name and file; each module in a folder below."""
    write_router(folder, names="old", activation="relu", router="Asym")
    described = json.loads((folder / "router_config.json").read_text(encoding="utf-8"))
    (folder / "router_config.json").unlink()
    place = "document_0_Transformer"
    (folder / place).mkdir()
    own = ("modules.json", "config_sentence_transformers.json")
    for file in [file for file in folder.iterdir() if file.is_file() and file.name not in own]:
        file.rename(folder / place / file.name)
    described["types"][place] = described["types"].pop("")
    described["structure"]["document"][0] = place
    write_json(folder / "config.json", described)
    return folder


def write_dense(
    folder: Path, pooling: dict[str, bool], *, layers: bool = False, normalize: bool = True
) -> Path:
    """A dense checkpoint in sentence-transformers' layout.

    Args:
        folder: where.
        pooling: the flags that are set in the pooling's settings.
        layers: whether a linear layer stands behind the pooling.
        normalize: whether vectors have unit length; without it they are compared by the product.
    """
    import torch
    from safetensors.torch import save_file

    write_plain(folder)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    width = 32 * len(pooling)
    flags = dict.fromkeys(("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"), False)
    settings = {f"pooling_mode_{flag}": on for flag, on in flags.items()} | pooling
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32} | settings)
    if layers:
        kinds["2_Dense"] = "Dense"
        torch.manual_seed(5)
        shape = {"in_features": width, "out_features": 10, "bias": True}
        activation = "torch.nn.modules.activation.Tanh"
        write_json(folder / "2_Dense" / "config.json", shape | {"activation_function": activation})
        tensors = {"linear.weight": torch.randn(10, width), "linear.bias": torch.randn(10)}
        save_file(tensors, folder / "2_Dense" / "model.safetensors")
    if normalize:
        kinds["9_Normalize"] = "Normalize"
    listed = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", listed)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40})
    prompts = {"query": "query: ", "document": "passage: "}
    settings = {"prompts": prompts, "similarity_fn_name": "cosine" if normalize else "dot"}
    write_json(folder / "config_sentence_transformers.json", settings)
    return folder


def write_table(folder: Path, table: str = "tensor") -> None:
    """A table of token weights with its tokenizer; every seventh token weighs nothing."""
    import numpy as np
    import torch
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    words = _words("wordpiece")
    words.save_pretrained(folder)
    weights = np.random.default_rng(3).uniform(0.1, 9.0, len(words)).astype(np.float32)
    weights[::7] = 0
    write_json(folder / "config.json", {"frozen": True})
    if table == "tensor":
        save_file({"weight": weights}, folder / "model.safetensors")
    elif table == "bin":
        torch.save({"weight": torch.from_numpy(weights)}, folder / "pytorch_model.bin")
    else:
        idf = {words.convert_ids_to_tokens(i): float(w) for i, w in enumerate(weights) if w}
        write_json(folder / "idf.json", idf)
        write_json(folder / "config.json", {"frozen": True, "path": "idf.json"})


def write_modules(folder: Path, modules: list[tuple[str, str, str]]) -> None:
    """modules.json of (name, path, type)."""
    listed = [
        {"idx": number, "name": name, "path": path, "type": dotted}
        for number, (name, path, dotted) in enumerate(modules)
    ]
    write_json(folder / "modules.json", listed)


def write_pooling(folder: Path, pooling: str, activation: str | None) -> None:
    """The settings of SpladePooling."""
    settings: dict[str, Any] = {"pooling_strategy": pooling, "word_embedding_dimension": None}
    if activation is not None:
        settings["activation_function"] = activation
    write_json(folder / "config.json", settings)


def write_model_config(folder: Path, prompts: dict[str, str] | None = None) -> None:
    """config_sentence_transformers.json."""
    settings = {"model_type": "SparseEncoder", "prompts": prompts or {}}
    write_json(folder / "config_sentence_transformers.json", settings)


def only_word_list(folder: Path) -> None:
    """Leave vocab.txt as the only file of a WordPiece tokenizer."""
    words = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    text = "".join(f"{token}\n" for token in sorted(words, key=words.__getitem__))
    (folder / "vocab.txt").write_text(text, encoding="utf-8")
    (folder / "tokenizer.json").unlink()


def copy_of(folder: Path, to: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(folder, to))


def _types(names: str) -> dict[str, str]:
    if names == "new":
        sparse = "sentence_transformers.sparse_encoder.modules"
        return {
            "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
            "SpladePooling": f"{sparse}.splade_pooling.SpladePooling",
            "SparseStaticEmbedding": f"{sparse}.sparse_static_embedding.SparseStaticEmbedding",
            "Router": "sentence_transformers.base.modules.router.Router",
        }
    sparse = "sentence_transformers.sparse_encoder.models"
    return {
        "Transformer": f"{sparse}.MLMTransformer",
        "SpladePooling": f"{sparse}.SpladePooling",
        "SparseStaticEmbedding": f"{sparse}.SparseStaticEmbedding",
        "Router": "sentence_transformers.models.Router",
    }


@cache
def _words(kind: str) -> Any:
    """A transformers tokenizer trained on the texts above: a few hundred tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import BertTokenizer, RobertaTokenizer

    texts = [text for text in TEXTS if "zzyzx" not in text]
    if kind == "wordpiece":
        trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        trained.normalizer = normalizers.BertNormalizer(lowercase=True)
        trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        trained.train_from_iterator(
            texts,
            trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False),
        )
        vocabulary = trained.get_vocab()
        return BertTokenizer(vocab=vocabulary, model_max_length=POSITIONS)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    trained.train_from_iterator(texts, trainer)
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    return RobertaTokenizer(vocab=model["vocab"], merges=merges, model_max_length=POSITIONS)


def random_model(architecture: str, vocabulary: int, seed: int = 0) -> Any:
    """An untrained model whose scores spread around 0."""
    import torch
    import transformers

    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS,
        "initializer_range": 0.4,
    }
    if architecture == "distilbert":
        renamed = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
        kept = ("vocab_size", "max_position_embeddings", "initializer_range")
        shape = {key: shape[key] for key in kept}
        config, name = transformers.DistilBertConfig(**shape, **renamed), "DistilBertForMaskedLM"
    elif architecture == "roberta":
        shape["max_position_embeddings"] = POSITIONS + 2
        config, name = transformers.RobertaConfig(**shape, pad_token_id=1), "RobertaForMaskedLM"
    elif architecture == "electra":
        config = transformers.ElectraConfig(**shape, embedding_size=16)
        name = "ElectraForMaskedLM"
    elif architecture == "modernbert":
        del shape["initializer_range"]
        config = transformers.ModernBertConfig(
            **shape, pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2
        )
        name = "ModernBertForMaskedLM"
    else:
        config, name = transformers.BertConfig(**shape), "BertForMaskedLM"
    torch.manual_seed(seed)
    model = getattr(transformers, name)(config)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if key.endswith("bias"):
                weight.normal_(0, 0.1)
    return model
