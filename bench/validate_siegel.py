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
from pathlib import Path

import numpy as np
import pandas as pd
from reporting import DOCS, Progress, describe_command, describe_versions, markdown_table, publish
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


def try_one(
    rng: np.random.Generator, n_seeds: int, change: tuple[float, float], sds: tuple[float, float]
) -> pd.DataFrame:
    """Fit both models by every method to n_seeds trials of one system."""
    truth = {"time": change[0], "time:response": change[1] - change[0]}
    found = []
    for _ in range(-(-n_seeds // PER_PATTERN)):
        rows, values = draw(rng, change, *sds)
        assert len(rows) == 40
        for model, formula in MODELS.items():
            for method in METHODS:
                fit = fit_edges(values, formula, rows, coding=CODING, df=method)
                for term, value in truth.items():
                    k = list(fit.terms).index(term)
                    df = fit.df[k]
                    reach = np.where(
                        np.isfinite(df), stats.t.ppf(0.975, np.where(np.isfinite(df), df, 1)), 1.96
                    )
                    off = np.abs(fit.estimate[k] - value)
                    found.append(
                        pd.DataFrame(
                            {
                                "model": model,
                                "method": method,
                                "term": term,
                                "covered": off <= reach * fit.se[k],
                                "fitted": np.isfinite(fit.se[k]),
                                "df": df,
                                "off": fit.estimate[k] - value,
                            }
                        )
                    )
    return pd.concat(found, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="simulated trials per system")
    parser.add_argument("--seed", type=int, default=20210122)
    parser.add_argument("--output", type=Path, default=DOCS / "validation-siegel.md")
    options = parser.parse_args()
    progress = Progress()
    changes, subject_sd, session_sd = read_truth()
    pieces = []
    for name in SYSTEMS:
        # One generator for each system, so that one can be rerun alone.
        rng = np.random.default_rng([options.seed, SYSTEMS.index(name)])
        one = try_one(rng, options.seeds, changes[name], (subject_sd, session_sd))
        pieces.append(one.assign(system=name))
        progress.say(name)
    publish(build_page(pd.concat(pieces), options, progress.seconds), options.output)


def build_page(found: pd.DataFrame, options: argparse.Namespace, seconds: float) -> str:
    fitted = found.loc[found["fitted"]]
    keys = ["model", "method", "term"]
    by = fitted.groupby(keys, sort=False)
    n = int(by.size().iloc[0])
    rows = []
    for (model, method, term), mine in by:
        by_system = mine.groupby("system", sort=False)["covered"].mean()
        share = mine["covered"].mean()
        verdict = "within" if BAND[0] <= share <= BAND[1] else "**outside**"
        df = mine["df"]
        rows.append(
            [
                model,
                method,
                f"`{term}`",
                f"{df.median():.1f}" if np.isfinite(df).all() else "normal",
                f"{100 * share:.1f}",
                f"{100 * by_system.min():.1f} to {100 * by_system.max():.1f}",
                verdict,
            ]
        )
    bias = fitted.groupby(["system", "term"], sort=False)["off"].agg(["mean", "std", "size"])
    largest = bias["mean"].abs().max()
    error = 100 * np.sqrt(0.95 * 0.05 / n)
    headers = ["model", "df", "term", "median df", "coverage, %", "over systems", "93.5 to 96.5"]
    _, subject_sd, session_sd = read_truth()
    paragraphs = [
        "# Validation: Siegel 2021",
        "Coverage of 95 % intervals on trials of the shape of Siegel 2021 with known truth: 21 people, "
        "11 of them responders, 16 with two scans before, 19 with one after; 40 observations. The truth "
        "is that of `examples/siegel2021/truth.toml`; SDs in it are assumptions (over people "
        f"{subject_sd:g}, over sessions {session_sd:g}, and {SCAN_SD:g} that a finite scan adds).",
        f"Made by `{describe_command(__file__)}` (seed {options.seed}) in {seconds / 60:.1f} minutes of "
        f"wall time; {describe_versions('connectrial', 'numpy', 'scipy', 'pandas')}. {options.seeds:,} "
        f"trials for each of {len(SYSTEMS)} systems, {n:,} a row, so the Monte Carlo standard error of a "
        f"coverage of 95 % is {error:.2f} points (of one system alone: "
        f"{100 * np.sqrt(0.95 * 0.05 / options.seeds):.2f}). {PER_PATTERN} trials at a time share who "
        "was scanned when.",
        markdown_table(headers, rows),
        "- The mean of two baseline scans has less noise than one scan after, which the model, as the "
        "paper's, does not know.\n"
        "- Values are drawn at the level of a system's mean, not as signals. Responders and others do "
        "not differ before treatment here; where they do, three columns charge it to the interaction "
        "(see [definitions](definitions.md)).\n"
        f"- Estimates are off by {largest:.4f} z on average at most, over systems and terms.\n"
        f"- {int((~found['fitted']).sum())} of {len(found):,} intervals gave no result.",
    ]
    return "\n\n".join(paragraphs) + "\n"


if __name__ == "__main__":
    main()
