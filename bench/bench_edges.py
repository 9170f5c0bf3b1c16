"""Speed and memory of the models of every edge, as ratios to peers and to a matrix product.

Writes docs/benchmarks.md with a figure, and prints the page. One core; CPU time; the least of
several rounds. Peers run in environments of their own, made in bench/.peers when they are not
there; a peer that cannot be installed is named and left out.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from reporting import (
    DOCS,
    Progress,
    describe_command,
    describe_machine,
    describe_versions,
    markdown_table,
    publish,
)

from connectrial.stats.edgewise import EdgeFits, fit_edges
from connectrial.stats.permutation import permute_edges

HERE = Path(__file__).resolve().parent
FIGURE = "bench_edges.svg"
ALL_EDGES = 55_278  # of 333 parcels
PEERS = {"brainstat": "brainstat==0.7.0", "nilearn": "nilearn==0.14.1"}

SMALL = "fc_z ~ time + arm + age + (1 | subject)"
LARGE = "fc_z ~ time * arm + age + sex + (1 | subject)"
MMRM = "fc_z ~ time * arm + age + sex + us(time | subject)"


def make_table(n_subjects: int, n_visits: int, n_rows: int, seed: int = 0) -> pd.DataFrame:
    """People in two arms at up to so many visits; rows beyond `n_rows` are missing at random."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(n_subjects), n_visits)
    table = pd.DataFrame(
        {
            "subject": [f"s{k:04d}" for k in person],
            "time": pd.Categorical([f"v{k:02d}" for k in np.tile(np.arange(n_visits), n_subjects)]),
            "arm": pd.Categorical(np.where(person % 2, "active", "control"), ["control", "active"]),
            "age": rng.normal(40, 10, n_subjects)[person].round(1),
            "sex": pd.Categorical(np.where(rng.random(n_subjects) < 0.5, "f", "m"))[person],
        }
    )
    kept = np.sort(rng.choice(len(table), size=n_rows, replace=False))
    return table.iloc[kept].reset_index(drop=True)


def make_values(table: pd.DataFrame, n_edges: int, seed: int = 1) -> np.ndarray:
    """Edges whose intraclass correlations are anywhere between 0 and .8."""
    rng = np.random.default_rng(seed)
    codes = pd.factorize(table["subject"])[0]
    icc = rng.uniform(0, 0.8, n_edges)
    values = rng.normal(size=(len(table), n_edges)) * np.sqrt(1 - icc)
    values += (rng.normal(size=(codes.max() + 1, n_edges)) * np.sqrt(icc))[codes]
    return 0.2 + 0.15 * values


def cpu(run: Callable[[], object], rounds: int) -> float:
    """Least CPU seconds of several rounds."""
    best = np.inf
    for _ in range(rounds):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def product_seconds(rounds: int = 5) -> float:
    """One 2000 x 2000 float64 matrix product."""
    a = np.random.default_rng(0).normal(size=(2000, 2000))
    return cpu(lambda: a @ a, rounds)


def against_product(run: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """CPU seconds of a run and of a product, least of several rounds, and the ratios' median.

    A product stands before and after every run, so that what else the machine does falls on both.
    """
    seconds, products, ratios = [], [product_seconds(3)], []
    for _ in range(rounds):
        seconds.append(cpu(run, 1))
        products.append(product_seconds(3))
        ratios.append(seconds[-1] / np.mean(products[-2:]))
    return min(seconds), min(products), float(np.median(ratios))


def fit_and_test(
    values: np.ndarray, formula: str, table: pd.DataFrame, df: str, term: str = "arm"
) -> EdgeFits:
    """Fit, and p values of one term as an analysis asks for them."""
    fits = fit_edges(values, formula, table, df=df)
    fits.p_of(term)
    return fits


@dataclass
class Peers:
    """Environments of the peers, and what was left out."""

    folder: Path
    scratch: Path
    missing: dict[str, str] = field(default_factory=dict)

    def python(self, name: str) -> Path | None:
        """Interpreter that has a peer; None, and a reason in `missing`, if it cannot be had."""
        if name in self.missing:
            return None
        home = self.folder / name
        python = home / "bin" / "python"
        ready = home / ".installed"
        if not ready.is_file():
            made = subprocess.run([sys.executable, "-m", "venv", str(home)], capture_output=True)
            command = [str(python), "-m", "pip", "install", "--quiet", PEERS[name]]
            done = (
                subprocess.run(command, capture_output=True, text=True)
                if not made.returncode
                else made
            )
            if done.returncode:
                self.missing[name] = f"{PEERS[name]} could not be installed"
                return None
            ready.touch()
        return python

    def run(self, name: str, *command: str) -> dict | None:
        """What a peer's script prints; None if it fails."""
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            self.missing[name] = "did not run: " + done.stderr.strip().splitlines()[-1][:120]
            return None
        return json.loads(done.stdout.strip().splitlines()[-1])

    def brainstat(self, values: np.ndarray, table: pd.DataFrame, rounds: int) -> dict | None:
        """Mixed SLM on the same design, t of the arm."""
        python = self.python("brainstat")
        if python is None:
            return None
        active = (table["arm"] == "active").to_numpy(float)
        others = pd.get_dummies(table["time"], drop_first=True).to_numpy(float)
        fixed = np.column_stack([others, active, table["age"]])
        where = self.scratch / "brainstat.npz"
        subject = table["subject"].to_numpy(dtype=str)
        np.savez(where, values=values, fixed=fixed, contrast=active, subject=subject)
        return self.run(
            "brainstat", str(python), str(HERE / "peer_brainstat.py"), str(where), str(rounds)
        )

    def nilearn(self, values: np.ndarray, table: pd.DataFrame, n_permutations: int) -> dict | None:
        """Freedman-Lane permutations without blocks."""
        python = self.python("nilearn")
        if python is None:
            return None
        active = (table["arm"] == "active").to_numpy(float)
        others = pd.get_dummies(table["time"], drop_first=True).to_numpy(float)
        where = self.scratch / "nilearn.npz"
        confounds = np.column_stack([others, table["age"]])
        np.savez(where, values=values, contrast=active, confounds=confounds)
        return self.run(
            "nilearn", str(python), str(HERE / "peer_nilearn.py"), str(where), str(n_permutations)
        )

    def lmertest(self, values: np.ndarray, table: pd.DataFrame) -> dict | None:
        """Edge by edge; the fits alone."""
        if shutil.which("Rscript") is None:
            self.missing["lmerTest"] = "no Rscript on PATH"
            return None
        edges = pd.DataFrame(values, columns=[f"edge{k}" for k in range(values.shape[1])])
        where = self.scratch / "lmertest.csv"
        pd.concat([table, edges], axis=1).to_csv(where, index=False)
        return self.run("lmerTest", "Rscript", str(HERE / "peer_lmertest.R"), str(where))


@dataclass
class Row:
    """One line of the table of ratios."""

    what: str
    seconds: float
    against: str
    peer_seconds: float | None
    ratio: str
    target: str
    met: bool | None


def _times(x: float) -> str:
    return f"{x:,.0f}" if x >= 20 else f"{x:.2g}" if x < 1 else f"{x:.1f}"


def compare(
    options: argparse.Namespace, peers: Peers, progress: Progress
) -> tuple[list[Row], list[str]]:
    """Time every target, each next to what it is held against."""
    rows: list[Row] = []
    notes: list[str] = []
    n, rounds = options.edges, options.rounds
    scale = ALL_EDGES / n
    small = make_table(20, 3, 52)
    values = make_values(small, n)

    ours = cpu(lambda: fit_and_test(values, SMALL, small, "satterthwaite"), rounds)
    found = peers.brainstat(values, small, rounds)
    ours = min(ours, cpu(lambda: fit_and_test(values, SMALL, small, "satterthwaite"), rounds))
    fits = fit_and_test(values, SMALL, small, "satterthwaite")
    arm = fits.terms.index("arm[active]")
    progress.say("random intercept against BrainStat")
    if found:
        peer = found["seconds"]
        rows.append(
            Row(
                f"random intercept, Satterthwaite, {n:,} edges x 52 rows",
                ours,
                "BrainStat 0.7.0 SLM, mixed (approximate)",
                peer,
                f"{ours / peer:.2f} of its time",
                "at most 0.5",
                ours <= 0.5 * peer,
            )
        )
        away = np.abs(np.abs(found["t"]) - np.abs(fits.statistic[arm, :50])).max()
        notes.append(f"BrainStat's t is up to {away:.2g} away from ours in the first 50 edges.")
    exact = peers.lmertest(values[:, :50], small)
    progress.say("lmerTest")
    if exact:
        peer = exact["seconds"] * n / 50
        rows.append(
            Row(
                "the same",
                ours,
                "lmerTest, Satterthwaite (50 edges, scaled)",
                peer,
                f"{peer / ours:,.0f} times as fast",
                "at least 5,000",
                peer / ours >= 5000,
            )
        )
        away = np.abs(np.array(exact["t"]) - fits.statistic[arm, :50]).max()
        df = np.abs(np.array(exact["df"]) / fits.df[arm, :50] - 1).max()
        notes.append(
            f"lmerTest's t is at most {away:.1g} away from ours in these 50 edges, its df {df:.1g} of "
            "itself."
        )

    large = make_table(300, 4, 1080)
    wide = make_values(large, n)
    people = "300 people x 4 visits"
    for what, formula, df, most in (
        (f"random intercept, Satterthwaite, {n:,} edges x 1,080 rows ({people}), 10 columns",
         LARGE, "satterthwaite", 8),
        ("MMRM, unstructured, Satterthwaite, the same data", MMRM, "satterthwaite", 40),
        ("MMRM, unstructured, Kenward-Roger, the same data", MMRM, "kenward-roger", 40),
    ):  # fmt: skip
        ours, product, median = against_product(
            lambda formula=formula, df=df: fit_and_test(wide, formula, large, df), min(rounds, 3)
        )
        progress.say(what)
        rows.append(
            Row(
                what,
                ours,
                "one 2000 x 2000 float64 product",
                product,
                f"{_times(ours / product)} products (rounds' median {_times(median)})",
                f"at most {most}",
                ours * scale <= most * product,
            )
        )

    m = options.permutations
    linear = SMALL.removesuffix(" + (1 | subject)")

    def permute(formula: str, blocks: str | None, n_permutations: int, variance: str = "fixed"):
        return permute_edges(
            values,
            formula,
            small,
            term="arm",
            n_permutations=n_permutations,
            blocks=blocks,
            visit="time" if blocks else None,
            rng=0,
            edges=np.column_stack(np.triu_indices(333, 1))[:n],
            variance=variance,
        )

    blocked = cpu(lambda: permute(linear, "subject", m), 1)
    found = peers.nilearn(values, small, m)
    progress.say("permutations against nilearn")
    free = cpu(lambda: permute(linear, None, m), 1)
    blocked = min(blocked, cpu(lambda: permute(linear, "subject", m), 1))
    for what, ours in (("whole people", blocked), ("rows, without blocks", free)):
        name = (
            f"{m:,} Freedman-Lane permutations of {what}, largest statistic, {n:,} edges x 52 rows"
        )
        if found:
            ratio = found["seconds"] / ours
            rows.append(
                Row(
                    name,
                    ours,
                    "nilearn permuted_ols (no blocks)",
                    found["seconds"],
                    f"{ratio:.1f} times as fast",
                    "at least 6",
                    ratio >= 6,
                )
            )
        else:
            rows.append(Row(name, ours, "–", None, "–", "–", None))
    ours = cpu(lambda: permute(SMALL, "subject", m), 1)
    progress.say("mixed, fixed ratio")
    rows.append(
        Row(
            f"{m:,} permutations of the mixed model, variance ratio fixed",
            ours,
            "the linear model's",
            blocked,
            f"{ours / blocked:.1f} times its time",
            "stated",
            None,
        )
    )
    few = 5
    ours = (
        (
            cpu(lambda: permute(SMALL, "subject", few, "refit"), 1)
            - cpu(lambda: permute(SMALL, "subject", 1, "refit"), 1)
        )
        * m
        / (few - 1)
    )
    progress.say("mixed, refit")
    rows.append(
        Row(
            f"{m:,} permutations of the mixed model, refit ({few} done, scaled)",
            ours,
            "the linear model's",
            blocked,
            f"{ours / blocked:,.0f} times its time",
            "stated",
            None,
        )
    )
    visits = linear + " + us(time | subject)"
    ours = cpu(lambda: permute(visits, "subject", m), 1)
    progress.say("covariance fixed")
    rows.append(
        Row(
            f"{m:,} permutations of an unstructured covariance between visits, held fixed",
            ours,
            "the linear model's",
            blocked,
            f"{ours / blocked:.1f} times its time",
            "stated",
            None,
        )
    )
    few = 2
    ours = (
        (
            cpu(lambda: permute(visits, "subject", few, "refit"), 1)
            - cpu(lambda: permute(visits, "subject", 1, "refit"), 1)
        )
        * m
        / (few - 1)
    )
    progress.say("covariance, refit")
    rows.append(
        Row(
            f"{m:,} permutations of an unstructured covariance, refit ({few} done, scaled)",
            ours,
            "the linear model's",
            blocked,
            f"{ours / blocked:,.0f} times its time",
            "stated",
            None,
        )
    )
    return rows, notes


@dataclass
class Memory:
    """Memory of one call."""

    what: str
    n_edges: int
    given: float
    returned: float
    working: float


def measure_memory(options: argparse.Namespace, progress: Progress) -> list[Memory]:
    """Largest memory that numpy and Python hold at once during a call, beyond what it returns."""
    found = []
    small, large = make_table(20, 3, 52), make_table(300, 4, 1080)
    for what, formula, table, df in (
        ("random intercept, 52 rows", SMALL, small, "satterthwaite"),
        ("random intercept, 1,080 rows", LARGE, large, "satterthwaite"),
        ("MMRM, unstructured, Kenward-Roger, 1,080 rows", MMRM, large, "kenward-roger"),
    ):
        for n in sizes(options):
            values = make_values(table, n)
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            fits = fit_edges(values, formula, table, df=df)
            after, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            del fits
            mb = 2**20
            found.append(
                Memory(what, n, values.nbytes / mb, (after - before) / mb, (peak - after) / mb)
            )
            progress.say(f"memory, {what}, {n}")
    ends = np.column_stack(np.triu_indices(333, 1))
    linear = "fc_z ~ time + arm + age"
    for what, formula, settings in (
        ("permutations, largest statistic, 52 rows", linear, {}),
        ("permutations, random intercept, 52 rows", SMALL, {}),
        ("permutations, covariance fixed, 52 rows", linear + " + us(time | subject)", {}),
        (
            "permutations, network-based statistic, 52 rows",
            linear,
            {"statistic": "nbs-extent", "threshold": 3.0},
        ),
    ):
        for n in sizes(options):
            values = make_values(small, n)
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            permuted = permute_edges(
                values,
                formula,
                small,
                term="arm",
                n_permutations=200,
                blocks="subject",
                visit="time",
                rng=0,
                edges=ends[:n],
                **settings,
            )
            after, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            del permuted
            mb = 2**20
            found.append(
                Memory(what, n, values.nbytes / mb, (after - before) / mb, (peak - after) / mb)
            )
            progress.say(f"memory, {what}, {n}")
    return found


def sizes(options: argparse.Namespace) -> list[int]:
    """Numbers of edges that are compared."""
    return [n for n in (5_000, 20_000, 55_278) if n <= options.edges] or [options.edges]


def measure_curves(options: argparse.Namespace, progress: Progress) -> dict[str, dict[str, list]]:
    """CPU seconds against edges, rows and people."""
    small = make_table(20, 3, 52)
    edges: dict[str, list] = {}
    everything = make_values(small, options.edges)
    models = {
        "random intercept": (SMALL, "satterthwaite"),
        "MMRM, unstructured": ("fc_z ~ time + arm + age + us(time | subject)", "satterthwaite"),
    }
    for name, (formula, df) in models.items():
        edges[name] = [
            (n, cpu(lambda n=n, f=formula, d=df: fit_edges(everything[:, :n], f, small, df=d), 2))
            for n in (1_000, *sizes(options))
        ]
    progress.say("cost against edges")
    n = min(10_000, options.edges)
    rows = []
    for n_visits in (2, 4, 8, 16):
        table = make_table(40, n_visits, 40 * n_visits)
        values = make_values(table, n)
        rows.append((len(table), cpu(lambda v=values, t=table: fit_edges(v, SMALL, t), 3)))
    progress.say("cost against rows")
    people: dict[str, list] = {"random intercept": [], "MMRM, unstructured": []}
    for n_people in (20, 50, 100, 200, 300):
        table = make_table(n_people, 4, round(n_people * 3.6))
        values = make_values(table, n)
        for name, formula in (("random intercept", LARGE), ("MMRM, unstructured", MMRM)):
            part = values if name == "random intercept" else values[:, : n // 5]
            seconds = cpu(lambda v=part, f=formula, t=table: fit_edges(v, f, t), 2)
            people[name].append((n_people, seconds * n / part.shape[1]))
    progress.say("cost against people")
    return {"edges": edges, "rows": {"random intercept": rows}, "people": people}


def draw(curves: dict[str, dict[str, list]], memory: list[Memory], n: int, path: Path) -> None:
    """Three small panels of time, and one of memory."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    mpl.rcParams["svg.hashsalt"] = "connectrial"
    titles = {
        "edges": ("edges", "20 people, 52 rows"),
        "rows": ("rows", f"40 people, {n:,} edges"),
        "people": ("people, 3.6 visits each", f"{n:,} edges"),
    }
    figure, grid = plt.subplots(2, 2, figsize=(7.5, 5.6), layout="constrained")
    axes = grid.ravel()
    colours = {"random intercept": "#0072b2", "MMRM, unstructured": "#d55e00"}
    for ax, (key, lines) in zip(axes[:3], curves.items(), strict=True):
        for name, points in lines.items():
            x, y = np.array(points).T
            ax.plot(x, y, "o-", color=colours[name], label=name, markersize=4)
        ax.set(xscale="log", yscale="log", xlabel=titles[key][0], title=titles[key][1])
        ticks = [x for x, _ in lines["random intercept"]]
        ax.set_xticks(ticks, [f"{x:,}" for x in ticks], fontsize=8)
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_ylabel("CPU seconds, one core")
    axes[0].legend(frameon=False, fontsize=8)
    last = axes[3]
    shown = {
        "random intercept, 1,080 rows": ("random intercept, 1,080 rows", "#0072b2", "s-"),
        "MMRM, unstructured, Kenward-Roger, 1,080 rows": ("MMRM, 1,080 rows", "#d55e00", "s-"),
        "permutations, largest statistic, 52 rows": ("permutations, 52 rows", "#009e73", "o-"),
    }
    top = 0.0
    for what, (label, colour, marks) in shown.items():
        points = [(m.n_edges, m.working) for m in memory if m.what == what]
        x, y = np.array(points).T
        last.plot(x, y, marks, color=colour, label=label, markersize=4)
        last.set_xticks(x, [f"{k:,.0f}" for k in x], fontsize=8)
        top = max(top, *y)
    last.set(xlabel="edges", ylabel="working memory, MB", title="beyond input and result")
    last.set_ylim(0, 1.6 * top)
    last.legend(frameon=False, fontsize=8, loc="upper left")
    for ax in axes:
        ax.title.set_fontsize(9)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def many_patterns(options: argparse.Namespace) -> tuple[int, float, float]:
    """Edges that miss rows of their own: number of patterns, seconds, seconds when complete."""
    small = make_table(20, 3, 52)
    n = min(ALL_EDGES, options.edges)
    values = make_values(small, n)
    whole = cpu(lambda: fit_edges(values, SMALL, small), 2)
    rng = np.random.default_rng(2)
    n_patterns = 300
    for columns in np.array_split(rng.permutation(n), n_patterns):
        values[np.ix_(rng.choice(52, size=3, replace=False), columns)] = np.nan
    return n_patterns, cpu(lambda: fit_edges(values, SMALL, small), 1), whole


PAGE = """# Benchmarks

Models of every edge of a 333-parcel atlas (55,278 edges), on one core.

Made by `{command}` on {machine}; {versions}; BLAS on one thread. CPU seconds, the least of up to {rounds} \
rounds; only ratios within one run mean anything, since other work on a machine shifts all times.{fewer}

## Ratios

{ratios}

{notes}

{patterns}

## Memory

Largest memory held at once during the call (numpy and Python, as tracemalloc counts it), beyond what \
is given and what is returned. MB.

{memory}

Fits and permutations go through the edges in blocks, so that working memory does not grow with their \
number (an index and the like do, by some tens of bytes an edge). For the largest statistic every block \
of edges sees the same exchanges. The network-based statistics need the statistics of all edges under \
an exchange at once: there the exchanges come in blocks, whose statistics are held, up to 4 million \
numbers (16 MB); a covariance that is held fixed keeps the variance components of \
every edge.

## Cost

![CPU seconds against edges, rows and people, and memory against edges](images/{figure})

Axes of time are logarithmic. Visits by arm, age and sex are in the model of the panel of people, visits, \
arm and age in the others; degrees of freedom are Satterthwaite's.
"""


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=ALL_EDGES)
    parser.add_argument("--permutations", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, default=HERE / ".peers")
    parser.add_argument("--output", type=Path, default=DOCS / "benchmarks.md")
    options = parser.parse_args()
    progress = Progress()
    with tempfile.TemporaryDirectory() as scratch:
        peers = Peers(options.peers.resolve(), Path(scratch))
        rows, notes = compare(options, peers, progress)
    n_patterns, ragged, whole = many_patterns(options)
    memory = measure_memory(options, progress)
    curves = measure_curves(options, progress)
    draw(curves, memory, min(10_000, options.edges), options.output.parent / "images" / FIGURE)
    notes += [f"Left out: {name} ({why})." for name, why in peers.missing.items()]
    missed = [row.what for row in rows if row.met is False]
    if missed:
        notes.append("Targets missed: " + "; ".join(missed) + ".")
    page = PAGE.format(
        command=describe_command(__file__),
        machine=describe_machine(),
        versions=describe_versions("connectrial", "numpy", "scipy", "pandas"),
        rounds=options.rounds,
        fewer=f" Run on {options.edges:,} edges only." if options.edges < ALL_EDGES else "",
        ratios=markdown_table(
            ["what", "seconds", "against", "its seconds", "ratio", "target", "met"],
            [
                [
                    row.what,
                    f"{row.seconds:.3g}" if row.seconds < 100 else f"{row.seconds:,.0f}",
                    row.against,
                    "–"
                    if row.peer_seconds is None
                    else f"{row.peer_seconds:,.3g}"
                    if row.peer_seconds < 100
                    else f"{row.peer_seconds:,.0f}",
                    row.ratio,
                    row.target,
                    {True: "yes", False: "**no**", None: "–"}[row.met],
                ]
                for row in rows
            ],
        ),
        notes=" ".join(notes),
        patterns=(
            f"Edges with missing rows of their own are fitted pattern by pattern: {n_patterns} patterns of "
            f"three missing rows cost {ragged:.2g} s where complete edges cost {whole:.2g} s."
        ),
        memory=markdown_table(
            ["what", "edges", "given", "returned", "working"],
            [
                [
                    m.what,
                    f"{m.n_edges:,}",
                    f"{m.given:.1f}",
                    f"{m.returned:.1f}",
                    f"{m.working:.1f}",
                ]
                for m in memory
            ],
        ),
        figure=FIGURE,
    )
    publish(page, options.output, keep="## Reading")


if __name__ == "__main__":
    main()
