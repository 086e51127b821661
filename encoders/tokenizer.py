"""Text -> ids of the vocabulary, through `tokenizers` alone.

Reads tokenizer.json, or builds BERT's WordPiece from vocab.txt, and follows what transformers adds
from tokenizer_config.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer, decoders, models, normalizers
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from lexidex.errors import CorruptFile, ParameterError

from .json_file import read_json
from .recipe import SPECIAL
from .splitting import Spans, as_spans
from .weights import checksum

TOKENIZER = "tokenizer.json"
WORDPIECES = "vocab.txt"
CONFIG = "tokenizer_config.json"
FILES = (TOKENIZER, WORDPIECES, CONFIG, "special_tokens_map.json")
"""What a tokenizer is read from."""


class ModelTokenizer:
    """The tokenizer of a checkpoint's folder, truncating at a length."""

    def __init__(
        self,
        folder: Path,
        *,
        max_length: int | None,
        special_tokens: bool = True,
        lowercase: bool = False,
        length_name: str = "max_length",
    ) -> None:
        """Read the tokenizer in `folder`.

        Args:
            folder: holds tokenizer.json or vocab.txt.
            max_length: most tokens of a text, special ones included; None for no limit.
            special_tokens: whether texts get [CLS] and [SEP], or the model's own.
            lowercase: whether to lower-case texts whatever the file says.
            length_name: what messages call `max_length`.

        Raises:
            CorruptFile: there is no tokenizer, or it cannot be read.
            ParameterError: `max_length` leaves no room for text.
        """
        self.folder = folder
        self.max_length = max_length
        self.special_tokens = special_tokens
        self.lowercase = lowercase
        self._config = read_json(folder / CONFIG, missing={})
        self._file, self._tokenizer = self._read()
        self._normalize()
        self._truncate(length_name)

    def __len__(self) -> int:
        """Number of tokens in the vocabulary, added ones included."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, truncated; half a surrogate pair counts as a question mark."""
        try:
            found = self._encode(list(texts))
        except TypeError:
            found = self._encode([text.encode("utf-8", "replace").decode() for text in texts])
        return [encoding.ids for encoding in found]

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, however many, without special tokens."""
        found = self._unlimited.encode_batch_fast(_valid(texts), add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def words(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[str, int]]]]:
        """The ids of each text, and its words, each with the position of its first token.

        Words are what the tokenizer's normaliser and pre-tokeniser make of a text, before it cuts
        them into pieces; words beyond the length at which texts are cut off are not there.
        """
        texts = _valid(texts)
        if self._tokenizer.normalizer is not None:
            texts = [self._tokenizer.normalizer.normalize_str(text) for text in texts]
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=self.special_tokens)
        return [
            (encoding.ids, _words(text, encoding))
            for text, encoding in zip(texts, encoded, strict=True)
        ]

    def frame(self) -> tuple[list[int], list[int]]:
        """The ids of the special tokens before a text and after it, where texts get them."""
        if not self.special_tokens:
            return [], []
        ids, middle = self._tokenizer.encode("a").ids, self.pieces(["a"])[0]
        start = next(i for i in range(len(ids)) if ids[i : i + len(middle)] == middle)
        return ids[:start], ids[start + len(middle) :]

    def special_ids(self, roles: Sequence[str]) -> tuple[int, ...]:
        """The ids of tokens by their roles, see `lexidex.encoders.recipe.ROLES`; in order."""
        added = self._tokenizer.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        if SPECIAL in roles:
            return tuple(sorted(special))
        found = (self.id(name) for role in roles for name in self._named(role))
        return tuple(sorted({number for number in found if number is not None}))

    def _named(self, role: str) -> list[str]:
        """What a token of that role may be called; the settings say, or else the usual names."""
        says = self._config.get(f"{role}_token")
        if says:
            return [str(says["content"] if isinstance(says, dict) else says)]
        return [f"[{role.upper()}]", {"cls": "<s>", "sep": "</s>"}.get(role, f"<{role}>")]

    def room(self, prompt: str = "") -> int | None:
        """Most tokens of a text beside special ones and the prompt's, at least 1; None for all."""
        if self.max_length is None:
            return None
        return max(self.max_length - self._n_added() - len(self.spans(prompt)), 1)

    def spans(self, text: str) -> Spans:
        """Where the tokens of a text stand, however many; special ones stand nowhere."""
        whole = text.encode("utf-8", "replace").decode()  # no half of a surrogate pair
        return as_spans(self._unlimited.encode(whole, add_special_tokens=False).offsets)

    def token(self, component: int) -> str | None:
        """The token with that id, or None."""
        found: str | None = self._tokenizer.id_to_token(component)
        return found

    def id(self, token: str) -> int | None:
        """The id of that token, or None."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    @property
    def identity(self) -> list[Any]:
        """Equal for tokenizers that give equal ids."""
        return [checksum(self._file), self._casing(), self.lowercase, self.max_length]

    @cached_property
    def _unlimited(self) -> Tokenizer:
        """The tokenizer without a limit; a copy, for limits are a setting and not an argument."""
        copied = Tokenizer.from_str(self._tokenizer.to_str())
        copied.no_truncation()
        return copied

    def _n_added(self) -> int:
        """Special tokens that each text gets."""
        return int(self._tokenizer.num_special_tokens_to_add(False)) if self.special_tokens else 0

    def _encode(self, texts: list[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch_fast(texts, add_special_tokens=self.special_tokens)

    def _read(self) -> tuple[Path, Tokenizer]:
        file, words = self.folder / TOKENIZER, self.folder / WORDPIECES
        if file.is_file():
            try:
                return file, Tokenizer.from_file(str(file))
            except Exception as error:  # tokenizers raises nothing narrower
                raise CorruptFile(f"{file}: not a tokenizer: {error}") from None
        if words.is_file():
            return words, _bert_tokenizer(words, self._config)
        raise CorruptFile(
            f"{self.folder}: no tokenizer: neither {TOKENIZER} nor {WORDPIECES} is there; save one "
            "beside the model with transformers.AutoTokenizer"
        )

    def _casing(self) -> dict[str, Any]:
        """What tokenizer_config.json says about BERT's normaliser; it overrides the file."""
        names = {
            "lowercase": "do_lower_case",
            "strip_accents": "strip_accents",
            "handle_chinese_chars": "tokenize_chinese_chars",
        }
        return {name: self._config[key] for name, key in names.items() if key in self._config}

    def _normalize(self) -> None:
        normalizer = self._tokenizer.normalizer
        if isinstance(normalizer, normalizers.BertNormalizer):
            for name, value in self._casing().items():
                setattr(normalizer, name, value)
            self._tokenizer.normalizer = normalizer
        if self.lowercase:
            steps = [normalizers.Lowercase(), *([normalizer] if normalizer else [])]
            self._tokenizer.normalizer = normalizers.Sequence(steps)

    def _truncate(self, length_name: str) -> None:
        self._tokenizer.no_padding()
        if self.max_length is None:
            self._tokenizer.no_truncation()
            return
        added = self._n_added()
        if self.max_length <= added:
            raise ParameterError(
                f"{length_name}: {self.max_length!r}; expected more than the {added} special "
                f"tokens that each text gets from the tokenizer in {self.folder}"
            )
        side = self._config.get("truncation_side", "right")
        self._tokenizer.enable_truncation(self.max_length, direction=side)


def _bert_tokenizer(words: Path, config: dict[str, Any]) -> Tokenizer:
    """WordPiece over vocab.txt, as transformers' BertTokenizer builds it."""
    try:
        tokens = words.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFile(f"{words}: not a WordPiece vocabulary: {error}") from None
    vocabulary = {token: number for number, token in enumerate(tokens)}
    special = {role: _special(config, role) for role in ("unk", "cls", "sep", "pad", "mask")}
    missing = [special[role] for role in ("unk", "cls", "sep") if special[role] not in vocabulary]
    if missing:
        raise CorruptFile(f"{words}: not a WordPiece vocabulary: it has no {missing[0]}")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    cls, sep = special["cls"], special["sep"]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    known = [token for token in special.values() if token in vocabulary]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in known])
    return tokenizer


def _special(config: dict[str, Any], role: str) -> str:
    """The token of that role; tokenizer_config.json has it as a string or as an object."""
    token = config.get(f"{role}_token") or f"[{role.upper()}]"
    return str(token["content"] if isinstance(token, dict) else token)


def _valid(texts: Sequence[str]) -> list[str]:
    """Texts in which half a surrogate pair is a question mark."""
    return [text.encode("utf-8", "replace").decode() for text in texts]


def _words(text: str, encoding: Encoding) -> list[tuple[str, int]]:
    """The words of a text that was normalised, with the positions of their first tokens."""
    found: list[tuple[str, int]] = []
    last, start, first, end = None, 0, 0, 0
    for place, (word, span) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        if word != last:
            if last is not None:
                found.append((text[start:end].strip(), first))
            last, start, first = word, span[0], place
        end = span[1]
    if last is not None:
        found.append((text[start:end].strip(), first))
    return [(word, first) for word, first in found if word]
