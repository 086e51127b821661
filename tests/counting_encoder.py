"""A slow encoder that keeps account of what it encodes, in a file that outlives its process."""

import os
import time
import zlib
from pathlib import Path

from lexidex.encoders import Encoder
from lexidex.encoders.loading import KINDS
from lexidex.encoders.vocabulary import Vocabulary
from lexidex.index.vectors import build_vectors

DIM = 1 << 16


class CountingEncoder(Encoder):
    """A word's component is its checksum. Its weight depends, as with models, on the company.

    `seconds` a text are slept; `journal` gets a line for each text, once it is encoded. Processes
    that cannot be told otherwise take them from their environment.
    """

    kind = "counting"
    encoded = []  # noqa: RUF012 - by all such encoders of the process

    def __init__(self, journal=None, seconds=0.0, model="one"):
        self.given = {"journal": journal, "seconds": seconds, "model": model}
        self.journal = journal or os.environ.get("COUNTING_JOURNAL")
        self.seconds = seconds or float(os.environ.get("COUNTING_SECONDS", 0))
        self.model = model

    @property
    def dim(self):
        return DIM

    @property
    def options(self):
        return self.given

    @property
    def fingerprint(self):
        return zlib.crc32(self.model.encode()).to_bytes(16, "big").hex()

    def encode_documents(self, texts):
        time.sleep(self.seconds * len(texts))
        self.encoded += texts
        if self.journal:
            with open(self.journal, "ab", buffering=0) as file:
                file.write("".join(f"{text}\n" for text in texts).encode())
        return self._vectors(texts)

    def encode_queries(self, texts):
        return self._vectors(texts)

    def _vectors(self, texts):
        weight = len(self.model) + len(texts) / 1024
        rows = []
        for text in texts:
            found = {self.component(word) for word in text.split()} - {None}
            rows.append((sorted(found), [weight] * len(found)))
        return build_vectors(rows, self.dim)

    def term(self, component):
        return str(component)

    def component(self, term):
        return zlib.crc32(f"{self.model} {term}".encode()) % DIM

    def save(self, path):
        raise NotImplementedError


class CountingWordsEncoder(CountingEncoder):
    """The same of words in a vocabulary that grows."""

    kind = "counting-words"

    def __init__(self, journal=None, seconds=0.0, model="one"):
        super().__init__(journal, seconds, model)
        self.vocabulary = Vocabulary()

    def use_vocabulary(self, vocabulary):
        self.vocabulary = vocabulary

    @property
    def dim(self):
        return len(self.vocabulary)

    @property
    def fingerprint(self):
        return f"words-{super().fingerprint}"

    def encode_documents(self, texts):
        for word in " ".join(texts).split():
            self.vocabulary.add(word)
        return super().encode_documents(texts)

    def term(self, component):
        return self.vocabulary.terms[component]

    def component(self, term):
        return self.vocabulary.find(term)


def read_journal(path):
    """The texts encoded so far, in order, those of all processes."""
    path = Path(path)
    return path.read_text().split("\n")[:-1] if path.exists() else []


def register():
    """Let collections be opened that were made with it."""
    KINDS["counting"] = (__name__, "CountingEncoder")
    KINDS["counting-words"] = (__name__, "CountingWordsEncoder")


REGISTER = f"""
import sys
sys.path.insert(0, {os.fspath(Path(__file__).parents[1])!r})
from tests.counting_encoder import register
register()
"""
"""What a process of its own begins with."""
