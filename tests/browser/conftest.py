"""A real browser with the network cut, and the pages that it opens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

#: Names by which Chromium is looked for, unless CONNECTRIAL_CHROMIUM says where it lies.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = [
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",  # WebGL without a graphics card, for the cortex that turns
    "--enable-unsafe-swiftshader",
]


@dataclass
class Watched:
    """A page, and what it did that a reader would not see."""

    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def foreign(self) -> list[str]:
        """Return the requests that are neither the file itself nor data inside it."""
        own = ("file://", "data:", "blob:")
        return [address for address in self.requests if not address.startswith(own)]


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium that can resolve no host; skips with the reason where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no browser tests: pip install 'connectrial[test-browser]'"
    )
    program = os.environ.get("CONNECTRIAL_CHROMIUM") or next(
        (found for name in _NAMES if (found := shutil.which(name))), None
    )
    if program is None:
        pytest.skip("no Chromium: apt install chromium, or set CONNECTRIAL_CHROMIUM to its path")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, headless=True, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Open a report from disk without a network, everything that it asks for written down."""

    @contextmanager
    def opened(path: Path, **options) -> Iterator[Watched]:
        options = {"viewport": {"width": 1200, "height": 900}, **options}
        context = chromium.new_context(offline=True, accept_downloads=True, **options)
        # A whole CI may run beside the browser, which draws in software.
        context.set_default_timeout(90_000)
        watched = Watched(page=context.new_page())
        watched.page.on(
            "console",
            lambda said: said.type in ("error", "warning") and watched.errors.append(said.text),
        )
        watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
        watched.page.on("request", lambda request: watched.requests.append(request.url))
        watched.page.goto(path.resolve().as_uri())
        try:
            yield watched
        finally:
            context.close()

    return opened


REPORTS = ("demo", "stages", "ketamine-crossover", "siegel2021")


# One process has all tests of a report: where it must be run first, it is run once.
@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in REPORTS],
)
def report(request, chromium, tmp_path_factory) -> Path:
    """A report: of a simulated trial, of STAGES and of the crossover where their data are there.

    Where CONNECTRIAL_REPORTS names a folder with a run's results in a folder of that name, those
    are taken and nothing is run again.
    """
    name = request.param
    made = os.environ.get("CONNECTRIAL_REPORTS")
    if made:
        for ready in (Path(made) / name, Path(made) / name / "results"):
            if (ready / "report.html").is_file():
                return ready / "report.html"
    if name == "siegel2021":
        pytest.skip(
            "simulate and run examples/siegel2021 into CONNECTRIAL_REPORTS/siegel2021 first"
        )
    if name == "demo":
        study = _write_demo(tmp_path_factory.mktemp("demo"))
    else:
        data = request.getfixturevalue("connectrial_data")
        os.environ["CONNECTRIAL_DATA"] = str(data)
        if name == "ketamine-crossover" and not (data / "ds005917").is_dir():
            pytest.skip(f"no ds005917 in {data}")
        study = Path(__file__).parents[2] / "examples" / name / "study.toml"
    return _run(study, tmp_path_factory.mktemp(f"{name}-out"))


@pytest.fixture(scope="session")
def surface_report(chromium, tmp_path_factory) -> Path:
    """A small report with maps of a volume: before, after, their difference and a test."""
    from connectrial.report import render_report
    from report_maps import with_maps
    from test_report import siegel_like

    page = tmp_path_factory.mktemp("surface") / "report.html"
    page.write_text(render_report(with_maps(siegel_like())), encoding="utf-8")
    return page


def _run(study: Path, out: Path) -> Path:
    from connectrial import load_study, plan_study, run_plan
    from connectrial.report.saving import save_report

    results = run_plan(plan_study(load_study(study)), out)
    assert results is not None
    return save_report(results, out)


def _write_demo(folder: Path) -> Path:
    """Write the demo's trial without its images."""
    from importlib.resources import files

    from connectrial import simulate_trial
    from connectrial.io.dataset import write_dataset
    from connectrial.simulate import TrialDesign

    write_dataset(simulate_trial(TrialDesign(n_imaged=0), seed=2021), folder / "dataset")
    text = (files("connectrial") / "templates" / "demo-study.toml").read_text(encoding="utf-8")
    study = folder / "study.toml"
    study.write_text(text, encoding="utf-8")
    return study
