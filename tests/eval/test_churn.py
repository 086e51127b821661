"""The churn benchmark on a tiny collection: it compares collections of the same content."""

import pytest

from lexidex.eval.benchmarks.churn import run_churn
from lexidex.eval.benchmarks.record import Record
from lexidex.eval.benchmarks.report import tables_of
from lexidex.eval.benchmarks.workload import prepare_workload


@pytest.mark.compiled_only
def test_it_measures_three_collections_of_the_same_content(tmp_path):
    workload = prepare_workload(tmp_path, 600, n_queries=10)
    record = Record({})
    figures = run_churn(workload, record=record, say=str, n_writes=20, share=0.2, rounds=1)
    assert [figure.state for figure in figures] == ["built", "written singly", "replaced"]
    assert figures[0].times_built == 1.0
    assert all(figure.latency.p99 >= figure.latency.p50 > 0 for figure in figures)
    assert figures[1].writes_per_second is not None
    assert min(figures[1].writes_per_second) > 0
    (table,) = tables_of(record.read())
    assert [row[0] for row in table.rows] == ["built", "written singly", "replaced"]
