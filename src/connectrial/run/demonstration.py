"""The embedded example: a simulated trial, run whole, and set beside its known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.io.dataset import write_dataset
from connectrial.io.files import write_atomic
from connectrial.io.outputs import save_results
from connectrial.plan import Plan
from connectrial.results import Results
from connectrial.run.running import run_plan
from connectrial.run.session_jobs import SessionJob, session_jobs
from connectrial.run.surveying import plan_study
from connectrial.simulate import SimulatedTrial, simulate_trial
from connectrial.study_file import load_study

Progress = Callable[[str, int, int], None]
_STUDIES = {"study.toml": "demo-study.toml", "images.toml": "demo-images.toml"}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Demo:
    """What the demo made.

    Attributes
    ----------
    folder : Path
        Results of the main study.
    results : Results
        The same, with the table ``truth``.
    recovery : pandas.DataFrame
        ``effect``, ``truth``, ``estimate``, ``95 % CI``, ``covered``.
    summary : str
        A few sentences on the effects, the responders and the imaging path.
    """

    folder: Path
    results: Results
    recovery: pd.DataFrame
    summary: str


def run_demo(out: Path, *, n_jobs: int, seed: int, progress: Progress) -> Demo:
    """Simulate a trial, write it as BIDS derivatives, run everything and compare with the truth.

    Parameters
    ----------
    out : Path
        New folder, or one of an earlier demo with the same seed.
    n_jobs : int
        Processes for the participant level.
    seed : int
        Seed of the simulated trial.
    progress : callable
        Called with (step, done, total).

    Returns
    -------
    Demo

    Raises
    ------
    InputError
        The folder holds something else, or a demo with another seed.
    """
    _refuse_other_folder(out)
    progress("simulating", 0, 2)
    trial = simulate_trial(seed=seed)
    progress("simulating", 1, 2)
    write_dataset(trial, out / "dataset")
    progress("simulating", 2, 2)
    for name, template in _STUDIES.items():
        text = files("connectrial").joinpath("templates", template).read_text(encoding="utf-8")
        write_atomic(out / name, text.replace("seed = 2021", f"seed = {seed}"))
    plan = plan_study(load_study(out / "study.toml"))
    results = run_plan(plan, out / "results", n_jobs=n_jobs, progress=progress)
    assert results is not None  # noqa: S101 - both levels were run
    images = plan_study(load_study(out / "images.toml"))
    run_plan(images, out / "results-images", n_jobs=n_jobs, level="participant", progress=progress)
    truth = compare_with_truth(results, trial)
    results = replace(results, tables={**results.tables, "truth": truth})
    save_results(results, out / "results")
    agreement = _agreement(plan, out / "results", images, out / "results-images")
    return Demo(
        folder=out / "results",
        results=results,
        recovery=_short(truth),
        summary=_summary(truth, results, trial, agreement),
    )


def _refuse_other_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; name a new folder for the demo")
    known = {"dataset", "results", "results-images", *_STUDIES}
    if out.is_dir():
        others = sorted(p.name for p in out.iterdir() if p.name not in known)
        if others:
            raise InputError(
                f"{out}: holds files that are no demo's ({others[0]} first); name a new folder"
            )


def compare_with_truth(results: Results, trial: SimulatedTrial) -> pd.DataFrame:
    """Set every effect that was simulated beside what the analyses found.

    Parameters
    ----------
    results : Results
        Of the demo's study, whose hypotheses bear the truth's names.
    trial : SimulatedTrial
        With the table ``truth``.

    Returns
    -------
    DataFrame
        ``name``, ``term``, ``truth``, ``estimate``, ``se``, ``ci_low``, ``ci_high``, ``covered``,
        ``note``.
    """
    estimates = results.estimates
    declared = estimates.loc[estimates["declared"]]
    rows = []
    for one in trial.truth.itertuples():
        found = _found(declared, str(one.name), str(one.model), str(one.term))
        if found is None:
            continue
        low, high = float(found["ci_low"]), float(found["ci_high"])
        value = float(str(one.value))
        rows.append(
            {
                "name": one.name,
                "term": found["term"],
                "truth": value,
                "estimate": float(found["estimate"]),
                "se": float(found["se"]),
                "ci_low": low,
                "ci_high": high,
                "covered": low <= value <= high,
                "note": one.note,
            }
        )
    return pd.DataFrame(rows)


def _found(declared: pd.DataFrame, name: str, model: str, term: str) -> pd.Series | None:
    if model == "time_by_response":
        here = (declared["analysis"] == name) & (declared["term"] == term)
    elif model == "patients_vs_controls" and term in ("before", "after"):
        visit = {"before": "pre", "after": "week2"}[term]
        here = (declared["outcome"] == name) & (
            declared["term"] == f"patients at {visit} - controls"
        )
        here &= declared["kind"] == "difference"
    else:
        return None
    matching = declared.loc[here]
    return matching.iloc[0] if len(matching) else None


def _short(truth: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "effect": truth["name"] + ", " + truth["term"],
            "truth": truth["truth"],
            "estimate": truth["estimate"],
            "95 % CI": [
                f"{low:.3f} to {high:.3f}"
                for low, high in zip(truth["ci_low"], truth["ci_high"], strict=True)
            ],
            "covered": np.where(truth["covered"], "yes", "no"),
        }
    )


def _agreement(
    series: Plan, series_out: Path, images: Plan, images_out: Path
) -> list[tuple[str, float]]:
    """Correlate FC from images with FC from the ready-made series of the same sessions."""
    by_session = {(job.subject, job.session): job for job in session_jobs(series, series_out)}
    found = []
    for job in session_jobs(images, images_out):
        other = by_session.get((job.subject, job.session))
        if other is None or not job.matrix.is_file() or not other.matrix.is_file():
            continue
        found.append((f"sub-{job.subject} ses-{job.session}", _edge_correlation(job, other)))
    return found


def _edge_correlation(job: SessionJob, other: SessionJob) -> float:
    upper = np.triu_indices(len(job.atlas.parcels), k=1)
    edges = []
    for one in (job, other):
        table = pd.read_csv(one.matrix, sep="\t", index_col=0, na_values=["n/a"])
        edges.append(np.arctanh(table.to_numpy()[upper]))
    both = np.isfinite(edges[0]) & np.isfinite(edges[1])
    return float(np.corrcoef(edges[0][both], edges[1][both])[0, 1])


def _summary(
    truth: pd.DataFrame,
    results: Results,
    trial: SimulatedTrial,
    agreement: list[tuple[str, float]],
) -> str:
    covered, total = int(truth["covered"].sum()), len(truth)
    known = trial.truth
    planned = known.loc[(known["model"] == "response") & (known["term"] == "n_responders"), "value"]
    endpoints = results.tables["endpoints"]
    met = endpoints.loc[endpoints["endpoint"] == "response", "met"].dropna().astype(bool)
    lines = [
        f"{covered} of {total} intervals hold the true value (95 % of many would).",
        f"Responders: {int(met.sum())} of {len(met)} with a score"
        + ("" if planned.empty else f"; simulated: {int(planned.iloc[0])}")
        + ".",
    ]
    if agreement:
        values = [value for _, value in agreement]
        lines.append(
            f"Images: FC of {len(values)} sessions read from 4D volumes and denoised correlates "
            f"r = {min(values):.2f} to {max(values):.2f} over edges with FC of the ready-made series."
        )
    return "\n".join(lines)
