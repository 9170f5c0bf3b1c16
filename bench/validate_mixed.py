"""Type-I error and interval coverage of every mixed model and df method, by simulation.

Writes docs/validation-mixed.md and prints it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cells import Found, Study, add_resume
from reporting import DOCS, ROOT, markdown_table, publish

from connectrial.errors import ModelError
from connectrial.stats import structured_edges
from connectrial.stats.between_within import BetweenWithinDf, between_within_df
from connectrial.stats.edgewise import EdgeFits, fit_edges
from connectrial.stats.inference import FixedDf, SatterthwaiteDf, f_p_value
from connectrial.stats.kenward_roger import KenwardRogerDf, adjust_covariance, expected_spread
from connectrial.stats.likelihood import kenward_roger_correction
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm

PEOPLE = (10, 20, 40)
ICCS = (0.0, 0.3, 0.7)
SHARES_MISSING = (0.0, 0.2)
VISITS = (2, 3)
N_PATTERNS = 12
VISIT_EFFECT, ARM_EFFECT = 0.5, 0.8  # in standard deviations of one observation
ALPHA = 0.05
GROUP_VARIANCE = 0.2  # between sites, or raters, on top
GROUPED_BY = {"sites": "site", "raters": "rater"}

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


# Kenward-Roger's linear variant differs only where the covariance is curved in its parameters
LINEAR = (
    "residual",
    "between-within",
    "satterthwaite",
    KENWARD_ROGER,
    "kenward-roger-expected",
    "none",
)
CURVED = (*LINEAR[:4], "kenward-roger-linear", *LINEAR[4:])
GROUPINGS = tuple(method for method in LINEAR if method != "between-within")


def _visit_model(structure: str, methods: Sequence[str], **more: object) -> Model:
    name = structure.removesuffix(" by arm")
    grouping = "subject" if name == structure else "arm / subject"
    return Model(
        f"MMRM, {structure}", f"{FACTORS} + {name}(time | {grouping})", tuple(methods), **more
    )


MODELS = (
    Model("rows taken as independent", FACTORS, ("residual",)),
    Model("random intercept", f"{FACTORS} + (1 | subject)", LINEAR),
    Model(
        "random slope of time", "y ~ t * arm + (t | subject)", LINEAR, visits=(3,), truth="slope"
    ),
    Model(
        "uncorrelated random slope",
        "y ~ t * arm + (t || subject)",
        LINEAR,
        visits=(3,),
        truth="slope",
        is_common=False,
    ),
    _visit_model("us", LINEAR),
    _visit_model("us by arm", LINEAR, visits=(2,), is_common=False),
    # with three visits, five people cannot carry a covariance of their own, nor can ten with holes
    _visit_model(
        "us by arm", LINEAR, visits=(3,), people=(20,), shares_missing=(0.0,), is_common=False
    ),
    _visit_model("us by arm", LINEAR, visits=(3,), people=(40,), is_common=False),
    _visit_model("cs", LINEAR),
    _visit_model("csh", CURVED, visits=(3,), is_common=False),
    _visit_model("toep", LINEAR, visits=(3,), is_common=False),
    _visit_model("toeph", CURVED, visits=(3,), is_common=False),
    _visit_model("ar1", CURVED, visits=(3,), truth="ar1", is_common=False),
    _visit_model("ar1h", CURVED, visits=(3,), truth="ar1", is_common=False),
    _visit_model("ad", CURVED, visits=(3,), truth="ar1", is_common=False),
    _visit_model("adh", CURVED, visits=(3,), truth="ar1", is_common=False),
    Model(
        "nested groupings",
        f"{FACTORS} + (1 | site / subject)",
        GROUPINGS,
        visits=(3,),
        truth="sites",
        is_common=False,
    ),
    Model(
        "crossed groupings",
        f"{FACTORS} + (1 | subject) + (1 | rater)",
        GROUPINGS,
        visits=(3,),
        truth="raters",
        is_common=False,
    ),
)


@dataclass(frozen=True)
class Cell:
    """One model with all its df methods on one kind of data, as a job."""

    model: str
    visits: int
    people: int
    missing: float
    icc: float
    simulated: int
    repetitions: int
    seed: int


@dataclass(frozen=True)
class FCell:
    """An F test of one model with several df methods on one kind of data, as a job."""

    model: str
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
            "site": [f"c{k // 2 % 5}" for k in person],  # both arms at every site
            "rater": [f"r{(k + v) % 4}" for k, v in zip(person // 2, visit, strict=True)],
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
    table: pd.DataFrame,
    covariance: np.ndarray,
    missing: float,
    repetitions: int,
    rng,
    truth: str = "cs",
) -> np.ndarray:
    """Outcomes with effects of visit and arm and none of their interaction, NaN where missing."""
    n_visits = len(covariance)
    n = len(table) // n_visits
    root = np.linalg.cholesky(covariance)
    noise = rng.normal(size=(n, n_visits, repetitions))
    y = np.einsum("st,nte->nse", root, noise).reshape(n * n_visits, repetitions)
    if truth in GROUPED_BY:
        group = pd.factorize(table[GROUPED_BY[truth]])[0]
        y += np.sqrt(GROUP_VARIANCE) * rng.normal(size=(group.max() + 1, repetitions))[group]
    y += VISIT_EFFECT * table["t"].to_numpy()[:, None]
    y += ARM_EFFECT * (table["arm"] == "active").to_numpy()[:, None]
    if missing:
        for columns in np.array_split(np.arange(repetitions), min(N_PATTERNS, repetitions)):
            gone = rng.choice(len(y), size=round(missing * len(y)), replace=False)
            y[np.ix_(gone, columns)] = np.nan
    return y


class _Remembered:
    """Optima of the blocks of one model, which are the same for every df method: found once."""

    def __init__(self, find: Callable[..., Any]) -> None:
        self.find, self.found, self.next = find, [], 0

    def __call__(self, *given: object, **more: object) -> Any:
        """Find the optimum of a block, or give what the same block had before."""
        if self.next == len(self.found):
            self.found.append(self.find(*given, **more))
        self.next += 1
        return self.found[self.next - 1]


def fit_methods(model: Model, values: np.ndarray, table: pd.DataFrame) -> dict[str, EdgeFits]:
    """`fit_edges` with every df method of a model, each optimum being found only once."""
    names = ("find_random_optimum", "find_visit_optimum")
    real = {name: getattr(structured_edges, name) for name in names}
    remembered = {name: _Remembered(find) for name, find in real.items()}
    try:
        for name in names:
            setattr(structured_edges, name, remembered[name])
        fits = {}
        for method in model.methods:
            for optima in remembered.values():
                optima.next = 0
            fits[method] = fit_edges(values, model.formula, table, df=method)
    finally:
        for name in names:
            setattr(structured_edges, name, real[name])
    return fits


def check_shortcut() -> None:
    """Fits with optima that are found once must be what `fit_edges` gives for one df method."""
    for model in MODELS:
        table = make_table(model.people[-1], model.visits[-1])
        covariance = truth_covariance(model.truth, 0.3, model.visits[-1])
        missing = model.shares_missing[-1]
        values = simulate(table, covariance, missing, 3, np.random.default_rng(3), model.truth)
        found = fit_methods(model, values, table)
        for method in model.methods[-2:]:
            together = found[method]
            alone = fit_edges(values, model.formula, table, df=method)
            for name in ("estimate", "se", "df", "variance", "deviance"):
                if not np.array_equal(
                    getattr(together, name), getattr(alone, name), equal_nan=True
                ):
                    raise RuntimeError(f"{model.name}, {method}: {name} depends on the shortcut")


def judge(fits: EdgeFits, table: pd.DataFrame) -> dict[str, float | int]:
    """Rates of one df method over the repetitions that could be fitted."""
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
    """Every model on every kind of data that it is tried on."""
    return [
        Cell(
            model=model.name,
            visits=visits,
            people=people,
            missing=missing,
            icc=icc,
            simulated=repetitions,
            repetitions=repetitions if model.is_common else fewer,
            seed=seed,
        )
        for model in MODELS
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
        and cell.visits in m.visits
        and cell.people in m.people
        and cell.missing in m.shares_missing
    )
    table = make_table(cell.people, cell.visits)
    key = [cell.seed, cell.visits, cell.people, round(100 * cell.missing), round(100 * cell.icc)]
    covariance = truth_covariance(model.truth, cell.icc, cell.visits)
    rng = np.random.default_rng([*key, len(model.truth)])
    values = simulate(table, covariance, cell.missing, cell.simulated, rng, model.truth)
    # blocks of repetitions share their missing visits: every k-th keeps all the patterns
    kept = np.linspace(0, cell.simulated - 1, cell.repetitions).round().astype(int)
    found = fit_methods(model, values[:, kept], table)
    return {method: judge(fits, table) for method, fits in found.items()}


class _Recorded:
    """What the tests of a block start from, written down as they are made."""

    def __init__(self) -> None:
        self.blocks: list[tuple[Any, ...]] = []
        self.converged: list[np.ndarray] = []

    def finding(self, find: Callable[..., Any]) -> Callable[..., Any]:
        """Find optima and note which are there."""

        def found(*given: object, **more: object) -> Any:
            optimum = find(*given, **more)
            self.converged.append(optimum.converged)
            return optimum

        return found

    def testing(self, block: Callable[..., Any]) -> Callable[..., Any]:
        """Note what `_Tester.block` is given."""

        def noted(tester: Any, *given: Any) -> Any:
            self.blocks.append((tester, *given))
            return block(tester, *given)

        return noted


def f_tests(model: Model, values: np.ndarray, table: pd.DataFrame, term: str) -> dict[str, list]:
    """P of the F test of a term with every df method, for outcomes that miss the same rows.

    The optima are those of `fit_edges`, found for all outcomes at once; the tests are those of
    `fit_mixed` and `fit_mmrm`, one by one. None where an outcome has no optimum or no test.
    """
    recorded = _Recorded()
    names = ("find_random_optimum", "find_visit_optimum")
    real = {name: getattr(structured_edges, name) for name in names}
    block = structured_edges._Tester.block
    try:
        for name in names:
            setattr(structured_edges, name, recorded.finding(real[name]))
        structured_edges._Tester.block = recorded.testing(block)
        fits = fit_edges(values, model.formula, table, df=KENWARD_ROGER)
    finally:
        for name in names:
            setattr(structured_edges, name, real[name])
        structured_edges._Tester.block = block
    columns = fits.design.columns_of(term)
    kept = [name for name in fits.terms if np.isfinite(fits.estimate[fits.terms.index(name)]).any()]
    p: dict[str, list] = {method: [] for method in model.methods}
    for (tester, *given), converged in zip(recorded.blocks, recorded.converged, strict=True):
        rows = np.array([[float(name == column) for name in kept] for column in columns])
        rows = rows if set(columns) <= set(kept) else None
        for method in model.methods:
            p[method] += _f_p(method, tester, given, converged, rows, kept)
    return {method: found or [None] * values.shape[1] for method, found in p.items()}


def _f_p(method, tester, given, converged, rows, kept) -> list[float | None]:
    moments, covariances, state, spread, projected, scale = given
    back = tester.scaling.back
    n, rank = tester.scaling.basis.shape
    if rows is None or rank != len(kept):
        return [None] * len(scale)
    beta = (back @ (projected / scale + state.beta.T)).T
    if method.startswith(KENWARD_ROGER):
        if method == "kenward-roger-expected":
            spread = expected_spread(moments, covariances, state)
        correction = kenward_roger_correction(
            moments, covariances, spread, curved=method == KENWARD_ROGER
        )
        adjusted = adjust_covariance(state.covariance, state.slopes, correction, spread)
    if method == "between-within":
        x = tester.scaling.basis @ np.linalg.inv(back)
        column_df = between_within_df(x, kept, tester.subject)
    found: list[float | None] = []
    for k in range(len(scale)):
        common = {"beta": beta[k], "covariance": back @ state.covariance[k] @ back.T}
        if method == "satterthwaite":
            half = back @ state.covariance[k]
            slopes = half @ state.slopes[k] @ half.T
            test = SatterthwaiteDf(**common, slopes=slopes, parameter_covariance=spread[k])
        elif method == "between-within":
            test = BetweenWithinDf(**common, column_df=column_df)
        elif method in ("residual", "none"):
            df = float(n - rank) if method == "residual" else np.inf
            test = FixedDf(**common, name=method, df=df)
        else:
            test = KenwardRogerDf(
                name=method,
                beta=beta[k],
                basis=back,
                covariance=state.covariance[k],
                adjusted=adjusted[k],
                slopes=state.slopes[k],
                parameter_covariance=spread[k],
            )
        try:
            result = test.test_rows(rows) if converged[k] else None
        except ModelError:
            result = None
        p = result and f_p_value(result.statistic, result.df_numerator, result.df)
        found.append(None if p is None or np.isnan(p) else p)
    return found


def run_f_test(cell: FCell) -> Found:
    """The interaction of three visits and arm as an F test of two numerator df."""
    model = next(
        m
        for m in MODELS
        if m.name == cell.model
        and 3 in m.visits
        and cell.people in m.people
        and cell.missing in m.shares_missing
    )
    table = make_table(cell.people, 3)
    rng = np.random.default_rng([cell.seed, cell.people, round(100 * cell.missing), 7])
    covariance = truth_covariance(model.truth, 0.3, 3)
    values = simulate(table, covariance, cell.missing, cell.repetitions, rng, model.truth)
    p: dict[str, list] = {method: [] for method in model.methods}
    for columns in np.array_split(np.arange(cell.repetitions), min(N_PATTERNS, cell.repetitions)):
        for method, found in f_tests(model, values[:, columns], table, "time:arm").items():
            p[method] += found
    rates = {}
    for method in model.methods:
        usable = np.array([one for one in p[method] if one is not None])
        error = float(np.mean(usable < ALPHA)) if len(usable) else np.nan
        rates[method] = {"lost": cell.repetitions - len(usable), "error": error}
    return rates


def check_f_tests() -> None:
    """F tests of optima that were found together must be those of `fit_mixed` and `fit_mmrm`."""
    for name in ("random intercept", "MMRM, us", "MMRM, ar1h", "crossed groupings"):
        model = next(m for m in MODELS if m.name == name)
        table = make_table(20, 3)
        covariance = truth_covariance(model.truth, 0.3, 3)
        values = simulate(table, covariance, 0.2, 2, np.random.default_rng(2), model.truth)[:, :1]
        together = f_tests(model, values, table, "time:arm")
        fit = (fit_mmrm if "MMRM" in name else fit_mixed)(
            model.formula, table.assign(y=values[:, 0]), df="satterthwaite"
        )
        for method in model.methods:
            alone = float(fit.with_df(method).test("time:arm")["p"].iloc[0])
            if not np.allclose(together[method], [alone], rtol=1e-4):
                raise RuntimeError(f"{name}, {method}: {together[method]} together, {alone} alone")


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
per visit comes on top; for groupings, a variance of {group} between five sites or four raters).
- True effects: visit {visit} per visit, arm {arm}, interaction 0. *Error* is the share of \
p < .05 of the interaction (of the last visit; treatment contrasts). *Coverage* is that of 95 % \
intervals of the interaction, of the visit effect (within people) and of the arm effect at the first \
visit (mostly between people).
- Missing visits: a fifth of all rows, drawn at random without regard to arm or outcome. Each \
setting has {patterns} such drawings, each shared by an equal part of the repetitions.
- The optimum of a fit does not depend on the df method, so that it is found once for all of them; \
every run first checks that `fit_edges` gives each alone the same numbers. Kenward-Roger's linear \
variant is the same as Kenward-Roger where the covariance is linear in its parameters (random effects, \
us, cs, toep), and is not repeated there.
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
    n_f = options.f_repetitions or options.repetitions
    parts = [
        INTRODUCTION.format(
            made=made,
            n="10, 20 or 40",
            visit=VISIT_EFFECT,
            arm=ARM_EFFECT,
            patterns=N_PATTERNS,
            group=GROUP_VARIANCE,
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
        f"{n_f:,} repetitions (Monte Carlo standard error "
        f"{_rate(float(np.sqrt(0.05 * 0.95 / n_f)))}).\n",
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


RULE = '''"""What simulation found: written by bench/validate_mixed.py, as docs/validation-mixed.md has it."""

from __future__ import annotations

WARNED_ABOVE = {above}
"""Errors for .05 that were both beyond chance and above this are warned about."""

Setting = tuple[int, bool]  # people, and whether visits are missing

SIMULATED: frozenset[tuple[str, str]] = frozenset({simulated})
"""Models and df methods that were tried."""

WORST_ERRORS: dict[tuple[str, str], dict[Setting, float]] = {worst}
"""Largest error of three tests over ICC 0, .3, .7 and 2, 3 visits, by model and df method."""

WORST_F_ERRORS: dict[tuple[str, str], dict[Setting, float]] = {f_worst}
"""The same for F tests of two rows."""

ERRORS_WITHOUT_MAIN_EFFECT: dict[int, float] = {without}
"""By people: error of an interaction without the main effect, one SD between levels at baseline."""
'''
KINDS = {
    "random slope of time": "random slope",
    "nested groupings": "nested random intercepts",
    "crossed groupings": "crossed random intercepts",
}
WARNED_ABOVE = 0.07


def write_rule(outcomes, f_rows, responder_rows, path: Path) -> None:
    """Write what is warned about at run time: the settings that the page calls liberal or worse."""

    def kind(model: str) -> str:
        return KINDS.get(model, model.removeprefix("MMRM, "))

    def is_warned(errors: Sequence[float], repetitions: int) -> bool:
        word = verdict(errors, repetitions)
        return ("liberal" in word or "invalid" in word) and round(max(errors), 3) > WARNED_ABOVE

    simulated = [o for o in outcomes if "|" in next(m.formula for m in MODELS if m.name == o.model)]
    worst: dict[tuple[str, str], dict[tuple[int, bool], float]] = {}
    for o in simulated:
        key, setting = (kind(o.model), o.method), (o.people, o.missing > 0)
        alike = [
            x
            for x in simulated
            if (x.model, x.method, x.people, x.missing) == (o.model, o.method, o.people, o.missing)
        ]
        errors = [e for x in alike for e in errors_of(x) if np.isfinite(e)]
        least = min(x.repetitions for x in outcomes if (x.model, x.method) == (o.model, o.method))
        if errors and is_warned(errors, least):
            worst.setdefault(key, {})[setting] = round(max(errors), 3)
    f_worst: dict[tuple[str, str], dict[tuple[int, bool], float]] = {}
    for model, method, people, missing, repetitions, _, error in f_rows:
        if np.isfinite(error) and is_warned([error], repetitions):
            f_worst.setdefault((kind(model), method), {})[people, missing > 0] = round(error, 3)
    without: dict[int, float] = {}
    for _, people, _, difference, found in responder_rows:
        if difference == 1.0:
            without[people] = max(without.get(people, 0.0), *(round(e, 3) for e in found[:2]))
    tried = sorted({(kind(o.model), o.method) for o in simulated})
    text = RULE.format(
        above=WARNED_ABOVE, simulated=tried, worst=worst, f_worst=f_worst, without=without
    )
    ruff = [sys.executable, "-m", "ruff", "format", "-"]
    done = subprocess.run(ruff, input=text, capture_output=True, text=True, cwd=ROOT)
    path.write_text(done.stdout if done.returncode == 0 else text, encoding="utf-8")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5000)
    parser.add_argument("--fewer", type=int, help="repetitions for the rarer models; default all")
    parser.add_argument("--f-repetitions", type=int, help="for F tests; default all")
    parser.add_argument("--output", type=Path, default=DOCS / "validation-mixed.md")
    parser.add_argument(
        "--rule",
        type=Path,
        default=ROOT / "src" / "connectrial" / "stats" / "simulated_errors.py",
        help="module that is written with what is warned about at run time",
    )
    parser.add_argument("--raw", type=Path, help="every outcome as JSON lines")
    add_resume(parser)
    options = parser.parse_args()
    n, seed = options.repetitions, options.seed
    study = Study.from_options(options)
    if not options.only_done:
        check_shortcut()
        check_f_tests()
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
        Outcome(
            method=method,
            **{k: v for k, v in asdict(c).items() if k not in ("simulated", "seed")},
            **rates,
        )
        for c, found in study.run(run_cell, cells)
        for method, rates in found.items()
    ]
    f_cells = [
        FCell(m.name, people, missing, options.f_repetitions or n, seed)
        for m in MODELS
        if 3 in m.visits and "time *" in m.formula and "|" in m.formula
        for people in m.people
        for missing in m.shares_missing
    ]
    f_rows = [
        (c.model, method, c.people, c.missing, c.repetitions, rates["lost"], rates["error"])
        for c, found in study.run(run_f_test, f_cells)
        for method, rates in found.items()
    ]
    order = {(m.name, method): k for k, m in enumerate(MODELS) for method in m.methods}
    outcomes.sort(key=lambda o: order[o.model, o.method])
    if options.raw:
        lines = [json.dumps(asdict(o)) for o in outcomes]
        options.raw.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_rule(outcomes, f_rows, responder_rows, options.rule)
    publish(
        build_page(
            outcomes, f_rows, responder_rows, options, study.describe(__file__, options.seed)
        ),
        options.output,
    )


if __name__ == "__main__":
    main()
