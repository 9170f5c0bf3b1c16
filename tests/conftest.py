"""Where the tests find real data, and one thread per BLAS so that timings and digits are stable."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
from hypothesis import settings

# Laws look for new counterexamples on every run, except in CI: there the same tree gives the same
# answer twice, and what a search finds elsewhere becomes an example of its test.
settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


#: Files that take longest begin first, so that none is at work when all others are done.
_LONGEST = {
    "test_cli.py",
    "test_clinical_trial.py",
    "test_cluster.py",
    "test_contrasts.py",
    "test_corpus.py",
    "test_crossover.py",
    "test_example_designs.py",
    "test_identifiers.py",
    "test_maps.py",
    "test_resume.py",
    "test_run.py",
    "test_saving.py",
    "test_simulate_study.py",
    "test_stages.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _LONGEST)


def pytest_collection_finish() -> None:
    """Tell Python that what is loaded stays, and to look for garbage less often: a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def disk_in_its_own_time() -> Iterator[None]:
    """Do not wait until each file has reached the disk: a run waits some 300 times.

    That a power cut finds whole files is what the waiting is for, and no test cuts the power. Tests
    of a full disk put their own fsync in the place of this one; processes that tests start wait.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


@pytest.fixture(scope="session")
def connectrial_data() -> Path:
    """Folder with the public data sets; skips where it is absent."""
    named = os.environ.get("CONNECTRIAL_DATA")
    folder = Path(named) if named else Path(__file__).parents[1].parent / "shared" / "data"
    if not (folder / "stages").is_dir():
        pytest.skip(
            f"no real data: set CONNECTRIAL_DATA to a folder that holds 'stages' ({folder} does not)"
        )
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder with the oracles' numbers and the scripts that made them."""
    return Path(__file__).parent / "reference"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Study file of a tiny trial of twelve people, in a folder of its own."""
    from tiny import write_tiny

    return write_tiny(tmp_path / "tiny")
