"""Judged collections, indexed by a sparse and a dense encoder, and kept for the next benchmark."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from lexidex.collection import Collection
from lexidex.dense_side import DenseSide
from lexidex.encoders import Encoder
from lexidex.sources import Reader, beir_file

from ..judged import splits_of
from .harness import Say

TUNING = ("dev", "train")
"""Splits that weights may be chosen on, the better first."""


def place_of(data: Path, folder: Path, encoder: Encoder, dense: DenseSide | None) -> Path:
    """Where the collection of a BEIR folder is kept: the same place for the same encoders.

    They are told by their fingerprints, the corpus by its size.
    """
    corpus = beir_file(data, "corpus.jsonl") or data
    described = [] if dense is None else sorted(dense.describe().items())
    key = [corpus.stat().st_size, encoder.fingerprint, encoder.idf_exponent, described]
    return folder / f"{data.absolute().name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}"


def indexed(
    data: Path, folder: Path, encoder: Encoder, dense: DenseSide | None, say: Say
) -> Collection:
    """The collection of a BEIR folder, in `folder`; indexed unless it is there."""
    place = place_of(data, folder, encoder, dense)
    if not place.exists():
        say(f"indexing {data.name}")
        part = place.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        with Collection.create(part, encoder, merge="off", dense=dense) as collection:
            collection.upsert(Reader([data]))
            collection.compact()
        part.rename(place)
    return Collection.open(place, merge="off")


def splits(data: Path) -> tuple[list[str], str | None]:
    """Which splits of a BEIR folder are reported, and which one weights may be chosen on.

    `test` is reported where there is one, else all that are not for tuning, else `dev`.
    """
    known = splits_of(data)
    tuning = next((split for split in TUNING if split in known), None)
    others = [split for split in known if split not in TUNING]
    reported = ["test"] if "test" in known else others or known[:1]
    return reported, None if tuning in reported else tuning
