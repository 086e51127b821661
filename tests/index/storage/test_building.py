"""Segments built within a memory budget, and watched."""

import os

import numpy as np
import pytest

from lexidex.errors import ParameterError
from lexidex.index import ExactIndex, SeismicIndex, planner
from lexidex.index.seismic import memory
from lexidex.index.seismic.crew import STAGES
from lexidex.index.storage.building import Building
from lexidex.index.storage.files import FileStorage
from lexidex.index.storage.segment import Segment
from lexidex.index.storage.segment_writer import SegmentWriter

from ..collections import random_batch
from .test_segment import Doc


@pytest.mark.parametrize("size", ["1KB", "ten", 0])
def test_a_budget_is_checked_at_once(size):
    with pytest.raises(ParameterError, match="memory: "):
        Building(size)


def test_segments_shrink_with_the_budget_and_never_grow_beyond_the_default():
    sizes = [Building(m).segment_postings for m in ("100MB", "400MB", "100GB", None)]
    assert sizes[0] * 4 == pytest.approx(sizes[1], abs=4)
    assert sizes[1] < sizes[2] == sizes[3]


def test_a_budget_allows_fewer_threads(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    documents = random_batch(np.random.default_rng(0), 20, 5)
    index, oracle = SeismicIndex.build(documents), ExactIndex.build(documents)
    built, tuned = [], []

    def finish(_builder, n_threads, progress):
        built.append(n_threads)
        return index

    monkeypatch.setattr("lexidex.index.storage.building.SeismicBuilder.finish", finish)
    monkeypatch.setattr(
        "lexidex.index.storage.building.self_tuned",
        lambda *_, n_threads: tuned.append(n_threads),
    )
    for budget in (None, "1GB", memory.FIXED + 3 * memory.A_THREAD, "57MiB"):
        Building(budget).seismic(documents, oracle, None)
    assert built == tuned == [8, 8, 2, 1]


def test_a_segment_within_a_budget_holds_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(planner, "SEISMIC_FROM", 1)
    documents = random_batch(np.random.default_rng(1), 30, 8)
    written, seen = [], []
    for place, building in enumerate((None, Building("100MB", seen.append))):
        storage = FileStorage(tmp_path / str(place))
        writer = SegmentWriter(storage, "s000000", building)
        writer.add([Doc(str(i)) for i in range(30)], documents)
        entry = writer.finish(lambda drafts: drafts)
        written.append([file.crc32 for file in entry.files])
        assert Segment(storage, entry).seismic.frontier.ks == (10, 100)
    assert written[0] == written[1]
    assert list(dict.fromkeys(at.stage for at in seen)) == list(STAGES)
