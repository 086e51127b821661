"""The parameters of a Seismic index: their ranges, and what is said of a value outside them."""

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from lexidex.errors import ParameterError
from lexidex.index import BuildParams, SearchParams


@pytest.mark.parametrize("params", [BuildParams, SearchParams])
def test_every_parameter_says_what_it_means_and_what_it_takes(params):
    for parameter in fields(params):
        assert len(parameter.metadata["meaning"]) > 40, parameter.name
        expected = parameter.metadata["range"]
        if not isinstance(expected, tuple):
            assert parameter.default is None or expected.holds(parameter.default)
            assert str(expected).startswith(("at least", "above"))
        else:
            assert parameter.default in expected


@pytest.mark.parametrize(
    ("params", "name", "value", "words"),
    [
        (BuildParams, "n_postings", 0, "an integer, at least 1"),
        (BuildParams, "n_postings", 2.5, "an integer, at least 1"),
        (BuildParams, "n_postings", True, "an integer, at least 1"),
        (BuildParams, "posting_fraction", -0.1, "a number, at least 0, at most 1"),
        (BuildParams, "posting_fraction", "some", "a number, at least 0, at most 1"),
        (BuildParams, "max_fraction", 0.5, "a number, at least 1"),
        (BuildParams, "max_fraction", float("inf"), "a number, at least 1"),
        (BuildParams, "centroid_fraction", 0, "a number, above 0, at most 1"),
        (BuildParams, "centroid_fraction", float("nan"), "a number, above 0, at most 1"),
        (BuildParams, "min_cluster_size", 0, "an integer, at least 1"),
        (BuildParams, "doc_cut", 256, "an integer, at least 1, at most 255"),
        (BuildParams, "summary_energy", 1.01, "a number, at least 0, at most 1"),
        (BuildParams, "value_type", "f16", "one of 'u8', 'u16', 'f32'"),
        (SearchParams, "query_cut", 0, "an integer, at least 1"),
        (SearchParams, "query_cut", None, "an integer, at least 1"),
        (SearchParams, "heap_factor", -1e-9, "a number, at least 0"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(params, name, value, words):
    with pytest.raises(ParameterError) as refused:
        params(**{name: value})
    assert str(refused.value) == f"{name}: {value!r}; expected {words}"


def test_whole_numbers_and_numpy_s_numbers_are_taken():
    params = BuildParams(n_postings=np.int64(7), max_fraction=2, summary_energy=np.float32(0.5))
    assert params == BuildParams(n_postings=7, max_fraction=2.0, summary_energy=0.5)
    assert SearchParams(heap_factor=0).heap_factor == 0


def test_parameters_do_not_change():
    with pytest.raises(FrozenInstanceError):
        SearchParams().query_cut = 3  # type: ignore[misc]


def test_accurate_parameters_keep_more_of_everything():
    plain, accurate = BuildParams(), BuildParams.accurate()
    assert accurate.n_postings > plain.n_postings
    assert accurate.posting_fraction > plain.posting_fraction
    assert accurate.summary_energy > plain.summary_energy
    assert accurate.value_type == plain.value_type
