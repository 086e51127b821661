"""Benchmarks of our index alone, on a tiny collection: what they measure, and what they write."""

import gzip
import json
import mmap
import sys
from dataclasses import asdict

import numpy as np
import pytest
from typer.testing import CliRunner

from lexidex.cli import app
from lexidex.errors import NotFound, ParameterError
from lexidex.eval.benchmarks import ablated, ablation, filters, opening, real, search
from lexidex.eval.benchmarks.harness import BenchmarkError
from lexidex.eval.benchmarks.memory import cached_share, drop_cache, fill_cache, resident
from lexidex.eval.benchmarks.record import Record
from lexidex.eval.benchmarks.report import tables_of
from lexidex.eval.benchmarks.workload import prepare_workload
from lexidex.index import BuildParams, SeismicIndex


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


def run(part, work, *options):
    size = [] if part == "real" else ["--documents", "1000", "--queries", "20"]
    arguments = ["bench", part, *size, "--work", str(work), "--keep", "--json", "-q", *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for table in tables_of(found):
        assert all(len(row) == len(table.columns) for row in table.rows)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the page cache is asked as Linux has it")
def test_the_page_cache_is_filled_and_told_of(tmp_path):
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    fill_cache(tmp_path / "file")
    assert cached_share(tmp_path / "file") == 1.0
    drop_cache(tmp_path / "file")  # what it achieves is up to the file system
    assert 0 <= cached_share(tmp_path / "file") <= 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told of as Linux does")
def test_resident_memory_grows_with_what_is_written():
    size, before = 80_000_000, resident()
    with mmap.mmap(-1, size) as fresh:  # where NumPy's memory may be what was freed before
        np.frombuffer(fresh, dtype=np.uint8)[:] = 1
        assert resident() - before > 0.9 * size


def test_opening_is_measured_in_every_way(work):
    workload = prepare_workload(work, 1_000, n_queries=20)
    index, record = work / "seismic", Record({})
    SeismicIndex.build(workload.documents()).save(index)
    opening.run_open(workload, index, record, rounds=1)
    found = record.read()
    assert [(line["memory"], line["cache"]) for line in found] == [
        (memory, cache) for cache in ("cold", "warm") for memory in ("map", "load")
    ]
    for line in found:
        assert line["kind"] == "open"
        assert line["open_ms"] > 0
        assert line["first_ms"] > 0
        assert 0 < line["latency"]["p50"] <= line["latency"]["p99"]
        assert line["overhead_us"] == line["latency"]["mean"] - line["batch_us"]
    for table in opening.tables(found):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_an_index_that_cannot_be_opened_is_named(work, tmp_path):
    workload = prepare_workload(work, 1_000, n_queries=20)
    (tmp_path / "damaged").write_bytes(bytes(100))
    with pytest.raises(BenchmarkError, match=r"damaged: the process ended; .*CorruptFile"):
        opening.run_open(workload, tmp_path / "damaged", Record({}), rounds=1)


def test_a_cache_that_was_not_dropped_is_told_of():
    line = {
        "memory": "map",
        "cache": "cold",
        "cached": 0.9,
        "latency": dict.fromkeys(("mean", "p50", "p90", "p99"), 1.0),
    }
    line |= dict.fromkeys(
        ("open_ms", "first_ms", "first_pass_us", "batch_us", "overhead_us", "rss", "huge"), 1.0
    )
    assert "no row is cold" in opening.tables([line])[0].note
    assert opening.tables([{**line, "cached": 0.01}])[0].note == ""
    assert opening.tables([{**line, "cache": "warm"}])[0].note == ""


def test_masks_allow_the_share_that_they_should(work):
    documents = prepare_workload(work, 1_000, n_queries=20).documents()
    found = filters.masks(documents)
    assert [mask.kind for mask in found] == ["none", *["random"] * 5, *["correlated"] * 4]
    assert found[0].share == found[1].share == 1.0
    frequencies = np.bincount(documents.indices) / 1_000
    for mask, share in zip(found[6:], filters.SELECTIVITIES[1:], strict=True):
        shared = np.diff(documents[mask.allowed].tocsc().indptr) == mask.allowed.sum()
        if share <= frequencies.max():
            assert mask.share == pytest.approx(share, abs=0.005)
            assert (shared & (np.diff(documents.tocsc().indptr) == mask.allowed.sum())).any()
        else:
            assert share <= mask.share < share + frequencies.max()


def test_filters_are_measured_under_every_mask(work):
    found = run("filters", work)
    assert [line["mask"] for line in found] == ["none", *["random"] * 5, *["correlated"] * 4]
    assert found[0]["accuracy"] == found[1]["accuracy"] > 0.9
    assert all(line["latency"]["p50"] > 0 for line in found)
    assert all(line["exact_us"] > 0 for line in found)


def test_collections_are_compared_after_changes(work):
    found = run("churn", work, "--writes", "20")
    assert [line["state"] for line in found] == ["built", "written singly", "replaced"]
    assert [line["writes_per_second"] is None for line in found] == [True, False, True]
    assert found[0]["times_built"] == 1.0
    assert found[0]["facts"]["command"].startswith("lexidex bench churn --writes 20 ")


def test_rank_safe_search_is_compared_with_exact_search(work):
    found = run("rank-safe", work)
    assert [line["search"] for line in found] == ["default", "rank-safe", "exact"] * 3
    for default, safe, exact in zip(found[0::3], found[1::3], found[2::3], strict=True):
        assert exact["accuracy"] == 1.0
        assert safe["accuracy"] >= max(0.999, default["accuracy"])
        assert safe["documents"] > default["documents"]


def test_parameters_are_measured_next_to_the_default(work):
    u16, u8, f32 = run("ablation", work, "--techniques", "value")
    assert [line["case"] for line in (u16, u8, f32)] == ["u16", "u8", "f32"]
    assert [line["default"] for line in (u16, u8, f32)] == [True, False, False]
    assert u16["fixed_ratio"] == u16["level_ratio"] == 1.0
    for line in (u16, u8, f32):
        assert line["level"]["accuracy"] > ablation.LEVEL - 0.05
        assert line["fixed"]["accuracy"] > 0.9
    bytes_ = [line["fixed"]["index_bytes"] for line in (u8, u16, f32)]
    assert bytes_ == sorted(set(bytes_))


@pytest.mark.slow
def test_replaced_kernels_find_what_the_others_do(work):
    on, off, best_first, by_list, heads, whole_documents, heaviest, whole_queries = run(
        "ablation", work, "--techniques", "order,prefetch,heads,summaries meet"
    )
    assert on["fixed"]["accuracy"] == off["fixed"]["accuracy"]  # prefetching changes no result
    assert by_list["fixed"]["accuracy"] >= best_first["fixed"]["accuracy"] - 0.02
    assert whole_documents["fixed"]["accuracy"] >= heads["fixed"]["accuracy"]
    assert whole_queries["fixed"]["accuracy"] >= heaviest["fixed"]["accuracy"] - 0.005
    for line in (off, by_list, whole_documents, whole_queries):
        assert line["fixed"]["index_bytes"] == on["fixed"]["index_bytes"]
        assert line["level"]["accuracy"] > ablation.LEVEL - 0.05


def test_every_technique_is_built_with_parameters_that_exist():
    default = asdict(BuildParams())
    for technique in ablation.techniques():
        for variant in technique.others.values():
            built = asdict(BuildParams(**variant.options))
            assert (built == default) == bool(variant.index), variant.name


def test_a_technique_that_is_not_known_is_named(work):
    arguments = ["bench", "ablation", "--documents", "1000", "--queries", "20", "-q"]
    result = CliRunner().invoke(
        app, [*arguments, "--work", str(work), "--techniques", "magic", "--keep"]
    )
    assert isinstance(result.exception, ParameterError)
    assert "magic" in str(result.exception)


def test_a_kernel_that_is_gone_is_an_error():
    with pytest.raises(AttributeError):
        ablated._replace(ablated.search, "no_such_kernel", None)


def test_statistics_of_synthetic_vectors_need_no_data(work, monkeypatch):
    monkeypatch.delenv("LEXIDEX_DATA", raising=False)
    documents, queries, short = run("statistics", work)
    assert documents["statistics"]["n_vectors"] == 1_000
    assert documents["statistics"]["nnz_mean"] > queries["statistics"]["nnz_mean"] > 20
    assert 5 <= short["statistics"]["nnz_mean"] <= 10


def test_real_vectors_are_told_of_where_there_are_none(work, monkeypatch, tmp_path):
    monkeypatch.setenv("LEXIDEX_DATA", str(tmp_path))
    result = CliRunner().invoke(app, ["bench", "real", "--no-peers", "--work", str(work), "-q"])
    assert isinstance(result.exception, NotFound)
    assert "LEXIDEX_DATA" in str(result.exception)


def test_real_queries_are_read_with_their_weights(tmp_path):
    with gzip.open(tmp_path / "q.gz", "wt", encoding="utf-8") as file:
        file.write("7\tsea sea ##s\n8\tsea\n")
    queries = real.read_queries(tmp_path / "q.gz")
    assert queries == [{"sea": 2, "##s": 1}, {"sea": 1}]
    vectors = real.as_vectors(queries, real.vocabulary(queries))
    assert vectors[:, [0, 1]].toarray().tolist() == [
        pytest.approx([0.01, 0.02]),
        pytest.approx([0.0, 0.01]),
    ]


def test_real_vectors_are_benchmarked_next_to_exact_search(work, data_folder):
    found = run("real", work, "--no-peers", "--variants", "exact")
    compared = [line for line in found if line["kind"] == "comparison"]
    assert {line["family"] for line in compared} == {"lexidex exact"}
    assert all(line["measured"]["accuracy"] == 1.0 for line in compared)
    assert {line["facts"]["documents"] for line in found} == {3_633}
    assert {line["facts"]["queries"] for line in found} == {161}


def test_a_collection_that_is_too_small_is_told_of():
    def line(family, mean):
        times = dict.fromkeys(("p50", "p90", "p99"), 1.0) | {"mean": mean}
        measured = {"variant": family, "point": {}, "accuracy": 1.0, "latency": times}
        measured |= {"batch": None, "index_bytes": 1, "build_cpu_s": 1.0}
        return {"task": "k10", "level": 0.9, "family": family, "ours": True, "ratio": None} | {
            "measured": measured
        }

    fast, slow = line("lexidex", 5.0), line("lexidex", 50.0)
    exact = line("lexidex exact", 20.0)
    assert search.TOO_SMALL in search.tables([slow, exact])[0].note
    assert search.TOO_SMALL not in search.tables([fast, exact])[0].note
    assert search.TOO_SMALL not in search.tables([fast])[0].note
