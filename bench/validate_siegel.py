"""Coverage of Siegel 2021's model by df method, on trials of its shape with known truth.

Network values are simulated directly: what a person's system has, what a session adds, and what a
finite scan adds to that. Writes docs/validation-siegel.md and prints it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from cells import Found, Study, add_resume
from reporting import DOCS, markdown_table, publish
from scipy import stats

from connectrial.stats.edgewise import fit_edges

TRUTH = Path(__file__).parents[1] / "examples" / "siegel2021" / "truth.toml"
N_RESPONDERS, N_OTHERS, N_SECOND, N_POST = 11, 10, 16, 19
SYSTEMS = ("Default", "sgACC-Default", "Limbic", "Visual")
METHODS = ("residual", "between-within", "satterthwaite", "kenward-roger", "none")
CODING = {"response": {"responder": 0.0, "non-responder": 1.0}, "time": {"pre": 0.0, "post": 1.0}}
MODELS = {
    "3 columns, as in the paper": "fc_z ~ time + time:response + (1 | subject)",
    "4 columns, with response": "fc_z ~ time + response + time:response + (1 | subject)",
}
SCAN_SD = 0.02  # what a finite scan adds to a system's mean, z; an assumption
PER_PATTERN = 25  # trials that share who was scanned when
BAND = (0.935, 0.965)


def read_truth() -> tuple[dict[str, tuple[float, float]], float, float]:
    """Changes of responders and others by system, and SDs of persons and sessions."""
    raw = tomllib.loads(TRUTH.read_text(encoding="utf-8"))
    changes = {}
    for one in raw["system"]:
        change = one["change"].get("value", one["change"])
        changes[one["name"]] = (float(change["responder"]), float(change["non-responder"]))
    return changes, float(raw["fc"]["subject_sd"]), float(raw["fc"]["session_sd"])


def draw(
    rng: np.random.Generator, change: tuple[float, float], subject_sd: float, session_sd: float
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw who was scanned when, and that for PER_PATTERN trials: rows, values."""
    n = N_RESPONDERS + N_OTHERS
    responds = np.arange(n) < N_RESPONDERS
    twice = np.isin(np.arange(n), rng.permutation(n)[:N_SECOND])
    after = np.isin(np.arange(n), rng.permutation(n)[:N_POST])
    person = rng.normal(0, subject_sd, (n, PER_PATTERN))
    noise = np.hypot(session_sd, SCAN_SD)
    pre = person + rng.normal(0, 1, (n, PER_PATTERN)) * noise / np.sqrt(1 + twice)[:, None]
    post = person + np.where(responds, *change)[:, None] + rng.normal(0, noise, (n, PER_PATTERN))
    level = np.where(responds, "responder", "non-responder")
    names = np.array([f"s{i:02d}" for i in range(n)])
    rows = pd.DataFrame(
        {
            "subject": np.concatenate([names, names[after]]),
            "time": ["pre"] * n + ["post"] * int(after.sum()),
            "response": np.concatenate([level, level[after]]),
        }
    )
    return rows, np.concatenate([pre, post[after]])


@dataclass(frozen=True)
class System:
    """What one system's trials are drawn from: changes, SDs, how many, and the generator's seed."""

    name: str
    responders: float
    others: float
    subject_sd: float
    session_sd: float
    n_seeds: int
    seed: tuple[int, int]


def run_siegel(job: System) -> Found:
    """Fit both models by every method to a system's trials: how often each interval holds the truth."""
    rng = np.random.default_rng(job.seed)
    change = (job.responders, job.others)
    truth = {"time": change[0], "time:response": change[1] - change[0]}
    found = []
    for _ in range(-(-job.n_seeds // PER_PATTERN)):
        rows, values = draw(rng, change, job.subject_sd, job.session_sd)
        assert len(rows) == 40
        for model, formula in MODELS.items():
            for method in METHODS:
                fit = fit_edges(values, formula, rows, coding=CODING, df=method)
                for term, value in truth.items():
                    k = list(fit.terms).index(term)
                    df, off = fit.df[k], fit.estimate[k] - value
                    finite = np.isfinite(df)
                    reach = np.where(finite, stats.t.ppf(0.975, np.where(finite, df, 1)), 1.96)
                    found.append(
                        pd.DataFrame(
                            {
                                "model": model,
                                "method": method,
                                "term": term,
                                "covered": np.abs(off) <= reach * fit.se[k],
                                "fitted": np.isfinite(fit.se[k]),
                                "df": df,
                                "off": off,
                            }
                        )
                    )
    return {"rows": summarise(pd.concat(found, ignore_index=True))}


def summarise(found: pd.DataFrame) -> list[dict[str, object]]:
    """Count by model, method and term what a system's trials found."""
    kept = found.assign(covered=found["covered"] & found["fitted"])
    by = kept.groupby(["model", "method", "term"], sort=False)
    rows = by.agg(
        n=("fitted", "size"),
        fitted=("fitted", "sum"),
        covered=("covered", "sum"),
        df=("df", "median"),
        off=("off", "mean"),
    ).reset_index()
    rows["df"] = rows["df"].astype(object).where(np.isfinite(rows["df"]), None)
    return list(rows.to_dict("records"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="simulated trials per system")
    parser.add_argument("--output", type=Path, default=DOCS / "validation-siegel.md")
    add_resume(parser)
    options = parser.parse_args()
    study = Study.from_options(options)
    changes, subject_sd, session_sd = read_truth()
    # A generator for each system, so that one can be rerun alone.
    jobs = [
        System(name, *changes[name], subject_sd, session_sd, options.seeds, (options.seed, k))
        for k, name in enumerate(SYSTEMS)
    ]
    pieces = [
        pd.DataFrame(found["rows"]).assign(system=job.name)
        for job, found in study.run(run_siegel, jobs)
    ]
    made = study.describe(__file__, options.seed)
    publish(build_page(pd.concat(pieces), options.seeds, made), options.output)


def build_page(found: pd.DataFrame, n_seeds: int, made: str) -> str:
    by = found.groupby(["model", "method", "term"], sort=False)
    n = int(by["fitted"].sum().max())
    rows = []
    for (model, method, term), mine in by:
        share = mine["covered"].sum() / mine["fitted"].sum()
        by_system = mine["covered"] / mine["fitted"]
        verdict = "within" if BAND[0] <= share <= BAND[1] else "**outside**"
        df = pd.to_numeric(mine["df"])
        rows.append(
            [
                model,
                method,
                f"`{term}`",
                f"{df.mean():.1f}" if df.notna().all() else "normal",
                f"{100 * share:.1f}",
                f"{100 * by_system.min():.1f} to {100 * by_system.max():.1f}",
                verdict,
            ]
        )
    error = 100 * np.sqrt(0.95 * 0.05 / n)
    headers = ["model", "df", "term", "median df", "coverage, %", "over systems", "93.5 to 96.5"]
    _, subject_sd, session_sd = read_truth()
    paragraphs = [
        "# Validation: Siegel 2021",
        "Coverage of 95 % intervals on trials of the shape of Siegel 2021 with known truth: 21 people, "
        "11 of them responders, 16 with two scans before, 19 with one after; 40 observations. The truth "
        "is that of `examples/siegel2021/truth.toml`; SDs in it are assumptions (over people "
        f"{subject_sd:g}, over sessions {session_sd:g}, and {SCAN_SD:g} that a finite scan adds).",
        f"{made} {n_seeds:,} trials for each of {found['system'].nunique()} systems, {n:,} a row, so the "
        f"Monte Carlo standard error of a coverage of 95 % is {error:.2f} points (of one system alone: "
        f"{100 * np.sqrt(0.95 * 0.05 / n_seeds):.2f}). {PER_PATTERN} trials at a time share who "
        "was scanned when.",
        markdown_table(headers, rows),
        "- The mean of two baseline scans has less noise than one scan after, which the model, as the "
        "paper's, does not know.\n"
        "- Values are drawn at the level of a system's mean, not as signals. Responders and others do "
        "not differ before treatment here; where they do, three columns charge it to the interaction "
        "(see [definitions](definitions.md)).\n"
        f"- Estimates are off by {found['off'].abs().max():.4f} z on average at most, over systems and "
        "terms.\n"
        f"- {int((found['n'] - found['fitted']).sum())} of {int(found['n'].sum()):,} intervals gave no "
        "result.",
    ]
    return "\n\n".join(paragraphs) + "\n"


if __name__ == "__main__":
    main()
