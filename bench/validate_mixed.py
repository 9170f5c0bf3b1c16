"""Type-I error and interval coverage of every mixed model and df method, by simulation.

Writes docs/validation-mixed.md and prints it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from cells import Found, Study, add_resume
from reporting import DOCS, markdown_table, publish

from connectrial.errors import ModelError
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm

PEOPLE = (10, 20, 40)
ICCS = (0.0, 0.3, 0.7)
SHARES_MISSING = (0.0, 0.2)
VISITS = (2, 3)
N_PATTERNS = 12
VISIT_EFFECT, ARM_EFFECT = 0.5, 0.8  # in standard deviations of one observation
ALPHA = 0.05

FACTORS = "y ~ time * arm"
KENWARD_ROGER = "kenward-roger"


@dataclass(frozen=True)
class Model:
    """A model, its df methods and the data that it is tried on."""

    name: str
    formula: str
    methods: tuple[str, ...]
    truth: str = "cs"
    visits: tuple[int, ...] = VISITS
    people: tuple[int, ...] = PEOPLE
    shares_missing: tuple[float, ...] = SHARES_MISSING
    is_common: bool = True


def _visit_model(structure: str, methods: Sequence[str], **more: object) -> Model:
    name = structure.removesuffix(" by arm")
    grouping = "subject" if name == structure else "arm / subject"
    return Model(
        f"MMRM, {structure}", f"{FACTORS} + {name}(time | {grouping})", tuple(methods), **more
    )


BOTH = ("satterthwaite", KENWARD_ROGER)
LINEAR = (*BOTH, "kenward-roger-linear")  # differs only where derivatives of second order do
MODELS = (
    Model("rows taken as independent", FACTORS, ("residual",)),
    Model(
        "random intercept",
        f"{FACTORS} + (1 | subject)",
        ("residual", "between-within", *BOTH, "kenward-roger-expected", "none"),
    ),
    Model(
        "random slope of time",
        "y ~ t * arm + (t | subject)",
        (*BOTH, "kenward-roger-expected"),
        visits=(3,),
        truth="slope",
    ),
    Model(
        "uncorrelated random slope",
        "y ~ t * arm + (t || subject)",
        BOTH,
        visits=(3,),
        truth="slope",
        is_common=False,
    ),
    _visit_model("us", BOTH),
    _visit_model("us", ("residual", "between-within"), is_common=False),
    _visit_model("us by arm", BOTH, visits=(2,), is_common=False),
    # with three visits, five people cannot carry a covariance of their own, nor can ten with holes
    _visit_model(
        "us by arm", BOTH, visits=(3,), people=(20,), shares_missing=(0.0,), is_common=False
    ),
    _visit_model("us by arm", BOTH, visits=(3,), people=(40,), is_common=False),
    _visit_model("cs", BOTH),
    _visit_model("csh", LINEAR, visits=(3,), is_common=False),
    _visit_model("toep", BOTH, visits=(3,), is_common=False),
    _visit_model("toeph", LINEAR, visits=(3,), is_common=False),
    _visit_model("ar1", LINEAR, visits=(3,), truth="ar1", is_common=False),
    _visit_model("ar1h", LINEAR, visits=(3,), truth="ar1", is_common=False),
    _visit_model("ad", LINEAR, visits=(3,), truth="ar1", is_common=False),
    _visit_model("adh", LINEAR, visits=(3,), truth="ar1", is_common=False),
)

F_MODELS = {
    "random intercept": (f"{FACTORS} + (1 | subject)", fit_mixed),
    "MMRM, us": (f"{FACTORS} + us(time | subject)", fit_mmrm),
}


@dataclass(frozen=True)
class Cell:
    """One model with one df method on one kind of data, as a job."""

    model: str
    method: str
    visits: int
    people: int
    missing: float
    icc: float
    simulated: int
    repetitions: int
    seed: int


@dataclass(frozen=True)
class FCell:
    """An F test of one model with one df method on one kind of data, as a job."""

    model: str
    method: str
    people: int
    missing: float
    repetitions: int
    seed: int


@dataclass(frozen=True)
class ResponderCell:
    """The two ways to code response, on one kind of data, as a job."""

    people: int
    icc: float
    difference: float
    repetitions: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What one model with one df method did on one kind of data."""

    model: str
    method: str
    visits: int
    people: int
    missing: float
    icc: float
    repetitions: int
    fitted: int
    singular: int
    error: float
    coverage_visit: float
    coverage_arm: float
    coverage_interaction: float


def make_table(n: int, n_visits: int) -> pd.DataFrame:
    """One row per person and visit; arms alternate."""
    person = np.repeat(np.arange(n), n_visits)
    visit = np.tile(np.arange(n_visits), n)
    return pd.DataFrame(
        {
            "subject": [f"s{k:02d}" for k in person],
            "time": pd.Categorical([f"v{k}" for k in visit]),
            "t": visit.astype(float),
            "arm": pd.Categorical(np.where(person % 2, "active", "control"), ["control", "active"]),
        }
    )


def truth_covariance(truth: str, icc: float, n_visits: int) -> np.ndarray:
    """Covariance between visits, of mean variance one."""
    lag = np.abs(np.subtract.outer(np.arange(n_visits), np.arange(n_visits)))
    if truth == "ar1":
        return icc**lag if icc else np.eye(n_visits)
    covariance = np.where(lag == 0, 1.0, icc)
    if truth == "slope":  # slopes vary by half a residual standard deviation from visit to visit
        t = np.arange(n_visits)
        covariance = covariance + 0.25 * (1 - icc) * np.outer(t, t)
    return covariance


def simulate(
    table: pd.DataFrame, covariance: np.ndarray, missing: float, repetitions: int, rng
) -> np.ndarray:
    """Outcomes with effects of visit and arm and none of their interaction, NaN where missing."""
    n_visits = len(covariance)
    n = len(table) // n_visits
    root = np.linalg.cholesky(covariance)
    noise = rng.normal(size=(n, n_visits, repetitions))
    y = np.einsum("st,nte->nse", root, noise).reshape(n * n_visits, repetitions)
    y += VISIT_EFFECT * table["t"].to_numpy()[:, None]
    y += ARM_EFFECT * (table["arm"] == "active").to_numpy()[:, None]
    if missing:
        for columns in np.array_split(np.arange(repetitions), min(N_PATTERNS, repetitions)):
            gone = rng.choice(len(y), size=round(missing * len(y)), replace=False)
            y[np.ix_(gone, columns)] = np.nan
    return y


def run_model(
    model: Model, method: str, values: np.ndarray, table: pd.DataFrame
) -> dict[str, float | int]:
    """Fit all repetitions; rates are over those that could be fitted."""
    fits = fit_edges(values, model.formula, table, df=method)
    slope = "t" in fits.terms
    last = f"time[{table['time'].cat.categories[-1]}]"
    visit = "t" if slope else last
    visit_effect = VISIT_EFFECT * (1.0 if slope else table["t"].max())
    arm, interaction = "arm[active]", f"{visit}:arm[active]"
    fitted = np.isfinite(fits.se[fits.terms.index(interaction)])

    def covered(term: str, truth: float) -> float:
        low, high = fits.interval_of(term)
        return (
            float(np.mean(((low <= truth) & (truth <= high))[fitted])) if fitted.any() else np.nan
        )

    return {
        "fitted": int(fitted.sum()),
        "singular": int(fits.singular.sum()),
        "error": float(np.mean(fits.p_of(interaction)[fitted] < ALPHA)) if fitted.any() else np.nan,
        "coverage_visit": covered(visit, visit_effect),
        "coverage_arm": covered(arm, ARM_EFFECT),
        "coverage_interaction": covered(interaction, 0.0),
    }


def list_cells(repetitions: int, fewer: int, seed: int) -> list[Cell]:
    """Every model with every df method on every kind of data that it is tried on."""
    return [
        Cell(
            model=model.name,
            method=method,
            visits=visits,
            people=people,
            missing=missing,
            icc=icc,
            simulated=repetitions,
            repetitions=repetitions if model.is_common else fewer,
            seed=seed,
        )
        for model in MODELS
        for method in model.methods
        for visits in model.visits
        for people in model.people
        for missing in model.shares_missing
        for icc in ICCS
    ]


def run_cell(cell: Cell) -> Found:
    """One cell; models with the same truth see the same data."""
    model = next(
        m
        for m in MODELS
        if m.name == cell.model
        and cell.method in m.methods
        and cell.visits in m.visits
        and cell.people in m.people
        and cell.missing in m.shares_missing
    )
    table = make_table(cell.people, cell.visits)
    key = [cell.seed, cell.visits, cell.people, round(100 * cell.missing), round(100 * cell.icc)]
    covariance = truth_covariance(model.truth, cell.icc, cell.visits)
    rng = np.random.default_rng([*key, len(model.truth)])
    values = simulate(table, covariance, cell.missing, cell.simulated, rng)
    # blocks of repetitions share their missing visits: every k-th keeps all the patterns
    kept = np.linspace(0, cell.simulated - 1, cell.repetitions).round().astype(int)
    return run_model(model, cell.method, values[:, kept], table)


def run_f_test(cell: FCell) -> Found:
    """The interaction of three visits and arm as an F test of two numerator df, fit by fit."""
    table = make_table(cell.people, 3)
    rng = np.random.default_rng([cell.seed, cell.people, round(100 * cell.missing), 7])
    covariance = truth_covariance("cs", 0.3, 3)
    values = simulate(table, covariance, cell.missing, cell.repetitions, rng)
    formula, fit = F_MODELS[cell.model]
    p = []
    for column in values.T:
        try:
            tests = fit(formula, table.assign(y=column), df=cell.method).f_tests()
            p.append(float(tests.loc["time:arm", "p"]))
        except ModelError:
            p.append(np.nan)
    usable = np.array(p)[np.isfinite(p)]
    return {"lost": len(p) - len(usable), "error": float(np.mean(usable < ALPHA))}


def run_responders(cell: ResponderCell) -> Found:
    """Interaction of time and response where responders differ at baseline and nothing else."""
    n = cell.people
    person = np.repeat(np.arange(n), 2)
    table = pd.DataFrame(
        {"subject": person, "time": np.tile([0.0, 1.0], n), "response": (person % 2).astype(float)}
    )
    key = [cell.seed, n, round(100 * cell.icc), round(100 * cell.difference), 11]
    rng = np.random.default_rng(key)
    y = np.sqrt(cell.icc) * np.repeat(rng.normal(size=(n, cell.repetitions)), 2, axis=0)
    y += np.sqrt(1 - cell.icc) * rng.normal(size=y.shape)
    y += cell.difference * table["response"].to_numpy()[:, None]
    found = {}
    for columns, fixed in (("3", "time + time:response"), ("4", "time * response")):
        for method in ("residual", "satterthwaite"):
            fits = fit_edges(y, f"fc_z ~ {fixed} + (1 | subject)", table, df=method)
            p = fits.p_of("time:response")
            found[f"{columns} columns, {method}"] = float(np.mean(p < ALPHA))
    return found


def limits(repetitions: int) -> tuple[float, float]:
    """Rates beyond which chance is no excuse: .04 to .06, or 3.5 standard errors if that is wider."""
    spread = max(0.01, 3.5 * float(np.sqrt(ALPHA * (1 - ALPHA) / repetitions)))
    return ALPHA - spread, ALPHA + spread


def verdict(errors: Sequence[float], repetitions: int) -> str:
    """Say in a word what the worst of several error rates for .05 amounts to."""
    finite = [e for e in errors if np.isfinite(e)]
    if not finite:
        return "no fit"
    lower, upper = limits(repetitions)
    words = []
    if max(finite) > upper:
        words.append("**invalid**" if max(finite) > 0.075 else "liberal")
    if min(finite) < lower:
        words.append("very cautious" if min(finite) < 0.025 else "cautious")
    return ", ".join(words) or "holds"


def errors_of(outcome: Outcome) -> tuple[float, float, float]:
    """Error rates of the three tests: interaction, visit, arm."""
    return outcome.error, 1 - outcome.coverage_visit, 1 - outcome.coverage_arm


def _rate(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{value:.3f}".lstrip("0")


def _say_fewer(outcomes: list[Outcome]) -> str:
    most = max(o.repetitions for o in outcomes)
    rare = dict.fromkeys(
        o.model if o.model != "MMRM, us" else f"{o.model} with {o.method}"
        for o in outcomes
        if o.repetitions < most
    )
    if not rare:
        return ""
    n = min(o.repetitions for o in outcomes)
    mcse = _rate(float(np.sqrt(0.05 * 0.95 / n)))
    return f" ({n:,}, with a standard error of {mcse}, for {'; '.join(rare)})"


def _span(values: Sequence[float]) -> str:
    finite = [v for v in values if np.isfinite(v)]
    if not finite:
        return "–"
    low, high = _rate(min(finite)), _rate(max(finite))
    return low if low == high else f"{low}–{high}"


def summary_rows(outcomes: list[Outcome]) -> list[list[str]]:
    """One row per model and df method, one column per number of people and missingness."""
    rows = []
    for model, method in dict.fromkeys((o.model, o.method) for o in outcomes):
        row = [model, method]
        for n in PEOPLE:
            for missing in SHARES_MISSING:
                cell = [
                    e
                    for o in outcomes
                    if (o.model, o.method, o.people, o.missing) == (model, method, n, missing)
                    for e in errors_of(o)
                ]
                n_repetitions = min(
                    o.repetitions for o in outcomes if (o.model, o.method) == (model, method)
                )
                row.append(f"{_span(cell)} {verdict(cell, n_repetitions)}" if cell else "not tried")
        rows.append(row)
    return rows


def detail_rows(outcomes: list[Outcome]) -> list[list[str]]:
    """One row per model, df method, visits, people and missingness."""
    rows = []
    keys = dict.fromkeys((o.model, o.method, o.visits, o.people, o.missing) for o in outcomes)
    for key in keys:
        cells = [o for o in outcomes if (o.model, o.method, o.visits, o.people, o.missing) == key]
        model, method, visits, people, missing = key
        rows.append(
            [
                model,
                method,
                str(visits),
                str(people),
                f"{missing:.0%}",
                " ".join(_rate(o.error) for o in cells),
                " ".join(_rate(o.coverage_interaction) for o in cells),
                " ".join(_rate(o.coverage_visit) for o in cells),
                " ".join(_rate(o.coverage_arm) for o in cells),
                " ".join(f"{o.singular / o.repetitions:.0%}" for o in cells),
                " ".join(str(o.repetitions - o.fitted) for o in cells),
                verdict([e for o in cells for e in errors_of(o)], cells[0].repetitions),
            ]
        )
    return rows


def say_failures(outcomes: list[Outcome]) -> list[str]:
    """Put into words what is not valid, not always fitted, or cautious."""
    lines = []
    for model, method in dict.fromkeys((o.model, o.method) for o in outcomes):
        mine = [o for o in outcomes if (o.model, o.method) == (model, method)]
        upper = limits(mine[0].repetitions)[1]
        bad = [(max(errors_of(o)), o) for o in mine if max(errors_of(o)) > upper]
        if bad:
            worst, where = max(bad, key=lambda pair: pair[0])
            n_invalid = sum(e > 0.075 for e, _ in bad)
            people = ", ".join(str(n) for n in sorted({o.people for _, o in bad}))
            lines.append(
                f"- **{model}, {method}**: error above {_rate(upper)} in {len(bad)} of {len(mine)} settings "
                f"(above .075 in {n_invalid}), with {people} people; at worst {_rate(worst)} "
                f"({where.people} people, {where.visits} visits, {where.missing:.0%} missing, "
                f"ICC {where.icc:g})."
            )
    lost = [o for o in outcomes if o.fitted < o.repetitions]
    for model in dict.fromkeys(o.model for o in lost):
        mine = [o for o in lost if o.model == model]
        worst = max(mine, key=lambda o: 1 - o.fitted / o.repetitions)
        lines.append(
            f"- **{model}**: some repetitions have no result (no optimum, or a design that the "
            f"missing visits made singular); at worst {1 - worst.fitted / worst.repetitions:.1%} "
            f"({worst.method}, {worst.people} people, {worst.visits} visits, "
            f"{worst.missing:.0%} missing, ICC {worst.icc:g}). Rates are over the others."
        )
    return lines


INTRODUCTION = """# Validation: mixed models

Type-I error and interval coverage by simulation, of every model that `fit_edges`, `fit_mixed` and \
`fit_mmrm` offer and of every df method, at the numbers of people that trials of this kind have.

{made}

## How

- Two arms of equal size, {n} people in all, 2 or 3 visits; normal outcomes of variance 1. ICC is the \
correlation between two visits of a person (between neighbouring visits for ar1, ar1h, ad and adh, \
whose data are autoregressive; for random slopes, a slope of half a residual standard deviation \
per visit comes on top).
- True effects: visit {visit} per visit, arm {arm}, interaction 0. *Error* is the share of \
p < .05 of the interaction (of the last visit; treatment contrasts). *Coverage* is that of 95 % \
intervals of the interaction, of the visit effect (within people) and of the arm effect at the first \
visit (mostly between people).
- Missing visits: a fifth of all rows, drawn at random without regard to arm or outcome. Each \
setting has {patterns} such drawings, each shared by an equal part of the repetitions.
- A fit without result is counted and never replaced; the rates are over the others.
- {repetitions} repetitions a setting{fewer}: the Monte Carlo standard error of a rate of .05 is {mcse}. The \
spans below are the least and largest of several such rates, so a few thousandths beyond .05 mean \
nothing.
- Verdict, by the error rates of all three tests (1 - coverage for visit and arm): *holds* within .040 \
to .060, or within 3.5 standard errors of .05 where that is wider; beyond, *liberal*, or **invalid** if \
above .075; *cautious*, or *very cautious* if below .025.
"""


WHY = """
Why: residual df (n - p) count every row as new information, so they are too many for what varies between \
people, and in small samples for a model with several variances. Where the variance between people is \
estimated as zero, Satterthwaite's df are n - p too (lmerTest does the same), which is why a random \
intercept is liberal at ICC 0 with few people; Kenward-Roger with expected information is not bound to \
that. A compound-symmetric MMRM (cs) allows negative correlation and has no such boundary. Infinite df \
(`none`) and free covariances with residual or between-within df are for large trials. Rows taken as \
independent throw away what a person's visits have in common: tests of change lose nearly all power \
where the ICC is high.
"""


def build_page(outcomes, f_rows, responder_rows, options, made: str) -> str:
    """Put the page together."""
    mcse = _rate(float(np.sqrt(0.05 * 0.95 / options.repetitions)) + 5e-5)
    parts = [
        INTRODUCTION.format(
            made=made,
            n="10, 20 or 40",
            visit=VISIT_EFFECT,
            arm=ARM_EFFECT,
            patterns=N_PATTERNS,
            repetitions=f"{options.repetitions:,}",
            fewer=_say_fewer(outcomes),
            mcse=mcse,
        ),
        "## In short\n\nError rates for .05: the span over ICC 0, .3 and .7, 2 and 3 visits and the "
        "three tests.\n",
        markdown_table(
            [
                "model",
                "df",
                *(
                    f"{n} people, {'a fifth missing' if m else 'complete'}"
                    for n in PEOPLE
                    for m in SHARES_MISSING
                ),
            ],
            summary_rows(outcomes),
        ),
        "\n## What fails\n",
        "\n".join(say_failures(outcomes)) or "Nothing.",
        WHY,
        "\n## F tests of several rows\n\nVisit by arm with three visits (2 numerator df), ICC .3, "
        f"{options.f_repetitions:,} repetitions (Monte Carlo standard error "
        f"{_rate(float(np.sqrt(0.05 * 0.95 / options.f_repetitions)))}).\n",
        markdown_table(
            ["model", "df", "people", "missing", "no result", "error", "verdict"],
            [
                [
                    name,
                    method,
                    n,
                    f"{m:.0%}",
                    f"{lost} of {reps}",
                    _rate(rate),
                    verdict([rate], reps),
                ]
                for name, method, n, m, reps, lost, rate in f_rows
            ],
        ),
        "\n## Three columns or four\n\n`time + time:response` with responders coded 0 has three "
        "columns; `time * response` has four. Two visits, half of the people responders, no "
        "change in anyone; responders and non-responders differ at baseline (in standard deviations). "
        "Share of p < .05 of the interaction: the three-column model charges the baseline difference "
        "to it.\n",
        markdown_table(
            [
                "people",
                "ICC",
                "baseline difference",
                "3 columns, residual",
                "3 columns, satterthwaite",
                "4 columns, residual",
                "4 columns, satterthwaite",
                "verdict on 3 columns",
                "on 4",
            ],
            [
                [n, icc, d, *map(_rate, found), verdict(found[:2], reps), verdict(found[2:], reps)]
                for reps, n, icc, d, found in responder_rows
            ],
        ),
        "\n## Every setting\n\nThree figures a cell: ICC 0, .3, .7.\n",
        markdown_table(
            [
                "model",
                "df",
                "visits",
                "people",
                "missing",
                "error",
                "coverage, interaction",
                "coverage, visit",
                "coverage, arm",
                "singular",
                "no result",
                "verdict",
            ],
            detail_rows(outcomes),
        ),
    ]
    return "\n".join(parts)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5000)
    parser.add_argument("--fewer", type=int, help="repetitions for the rarer models; default all")
    parser.add_argument("--f-repetitions", type=int, default=1000, help="for F tests, fit by fit")
    parser.add_argument("--output", type=Path, default=DOCS / "validation-mixed.md")
    parser.add_argument("--raw", type=Path, help="every outcome as JSON lines")
    add_resume(parser)
    options = parser.parse_args()
    n, seed = options.repetitions, options.seed
    study = Study.from_options(options)
    f_cells = [
        FCell(model, method, people, missing, options.f_repetitions, seed)
        for people in PEOPLE
        for missing in SHARES_MISSING
        for model in F_MODELS
        for method in BOTH
    ]
    f_rows = [
        (c.model, c.method, c.people, c.missing, c.repetitions, found["lost"], found["error"])
        for c, found in study.run(run_f_test, f_cells)
    ]
    responder_cells = [
        ResponderCell(people, icc, difference, n, seed)
        for people in PEOPLE
        for icc in (0.3, 0.7)
        for difference in (0.0, 0.5, 1.0)
    ]
    responder_rows = [
        (n, c.people, c.icc, c.difference, list(found.values()))
        for c, found in study.run(run_responders, responder_cells)
    ]
    cells = list_cells(n, min(options.fewer or n, n), seed)
    common = {m.name for m in MODELS if m.is_common}
    cells.sort(key=lambda c: c.model not in common)  # a study that is stopped has the main ones
    outcomes = [
        Outcome(**{k: v for k, v in asdict(c).items() if k not in ("simulated", "seed")}, **found)
        for c, found in study.run(run_cell, cells)
    ]
    order = {(m.name, method): k for k, m in enumerate(MODELS) for method in m.methods}
    outcomes.sort(key=lambda o: order[o.model, o.method])
    if options.raw:
        lines = [json.dumps(asdict(o)) for o in outcomes]
        options.raw.write_text("\n".join(lines) + "\n", encoding="utf-8")
    publish(
        build_page(outcomes, f_rows, responder_rows, options, study.cpu_seconds), options.output
    )


if __name__ == "__main__":
    main()
