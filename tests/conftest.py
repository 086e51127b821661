"""What all tests share: Hypothesis' settings, threads, the folder of real data, marks."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Models in tests are so small that a second thread costs more than it brings. Before torch is
# imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("local", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
BOUNDS_CHECKED = os.environ.get("NUMBA_BOUNDSCHECK") == "1"


def pytest_runtest_setup(item):
    """Tests too large for slow kernels run only where kernels are compiled plainly."""
    if item.get_closest_marker("compiled_only") and (INTERPRETED or BOUNDS_CHECKED):
        pytest.skip("too large for kernels that are interpreted or bounds-checked")


@pytest.fixture(autouse=True, scope="session")
def bm25_by_default():
    """Collections in tests are made with bm25 where they name no encoder: no model has to load.

    What the product's own default does, tests of processes show, and `lexidex.encoders.base` tells.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in ("lexidex.encoders", "lexidex.writing", "lexidex.server.catalog"):
            patch.setattr(f"{module}.DEFAULT_ENCODER", "bm25")
        yield


@pytest.fixture(scope="session")
def data_folder():
    """The folder of real collections and vectors that LEXIDEX_DATA names."""
    named = os.environ.get("LEXIDEX_DATA")
    if not named:
        pytest.skip("LEXIDEX_DATA is not set; it names the folder of real collections and vectors")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"LEXIDEX_DATA names {folder}, and there is no such folder")
    return folder
