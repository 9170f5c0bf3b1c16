"""One repetition of each test: draws data of known truth and says what held.

Every function takes a generator, the number of people and the share that is missing, and returns,
by the name of a quantity, whether a test rejected a true hypothesis (``error``) or an interval held
the truth (``coverage``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from connectrial.stats.ancova import ancova
from connectrial.stats.anova import paired_comparisons, repeated_measures_anova
from connectrial.stats.association import correlate, correlate_partial, correlate_repeated
from connectrial.stats.compare import compare_groups
from connectrial.stats.crossover import crossover
from connectrial.stats.equivalence import equivalence, non_inferiority
from connectrial.stats.exact import exact_means
from connectrial.stats.logistic import fit_firth
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.reliability import icc, repeatability
from connectrial.stats.variance_intervals import variance_intervals

ALPHA = 0.05
EFFECT = 0.8  # in standard deviations of one observation
Held = dict[tuple[str, str], bool]
Draw = Callable[[np.random.Generator, int, float], Held]


@dataclass(frozen=True)
class Case:
    """A kind of test on one kind of data."""

    name: str
    setting: str
    draw: Draw
    people: tuple[int, ...] = (10, 20, 40)
    shares_missing: tuple[float, ...] = (0.0,)
    cost: str = "cheap"  # "cheap", "dear" or "dearest"


def holds(table: pd.DataFrame, row: str, truth: float, *, of: str = "ci") -> bool:
    """Whether an interval holds the truth."""
    low, high = (float(table.loc[row, f"{of}_{end}"]) for end in ("low", "high"))
    return low <= truth <= high


def _rejects(table: pd.DataFrame, row: str) -> bool:
    return bool(table.loc[row, "p"] < ALPHA)


def _drop(values: np.ndarray, missing: float, rng: np.random.Generator) -> np.ndarray:
    gone = rng.choice(values.size, size=round(missing * values.size), replace=False)
    values.reshape(-1)[gone] = np.nan
    return values


def _arms(n: int) -> np.ndarray:
    return np.where(np.arange(n) % 2, "active", "control")


def two_groups(ratio: float, share: float) -> Draw:
    """Pooled and Welch t; the variance of the second group is `ratio` times that of the first."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        n_b = round(share * n)
        a, b = rng.normal(size=n - n_b) + EFFECT, np.sqrt(ratio) * rng.normal(size=n_b)
        held: Held = {}
        for name, equal in (("pooled t", True), ("Welch t", False)):
            found = compare_groups(a - EFFECT, b, equal_variance=equal)
            held[name, "error"] = _rejects(found, "difference")
        if ratio == 1:
            for size in ("cohen_d_pooled", "hedges_g"):
                found = compare_groups(a, b, equal_variance=True, effect_size=size)
                held[size, "coverage"] = holds(found, "difference", EFFECT, of="effect_size_ci")
        return held

    return draw


def two_visits(rho: float) -> Draw:
    """Paired t; two visits with correlation rho."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        level = np.sqrt(rho) * rng.normal(size=n)
        a, b = (level + np.sqrt(1 - rho) * rng.normal(size=n) for _ in range(2))
        a = _drop(a, missing, rng)
        held: Held = {
            ("paired t", "error"): _rejects(compare_groups(a, b, paired=True), "difference")
        }
        for size, truth in (("d_z", EFFECT / np.sqrt(2 * (1 - rho))), ("d_av", EFFECT)):
            found = compare_groups(a + EFFECT, b, paired=True, effect_size=size)
            held[size, "coverage"] = holds(found, "difference", truth, of="effect_size_ci")
        return held

    return draw


def change(ratio: float) -> Draw:
    """ANCOVA of change; the residual variance of the active arm is `ratio` times the other's."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        arm, before = _arms(n), rng.normal(size=n)
        noise = np.where(arm == "active", np.sqrt(ratio), 1.0) * rng.normal(size=n)
        gain = _drop(-0.5 * before + noise, missing, rng) + EFFECT * (arm == "active")
        table = pd.DataFrame({"change": gain, "before": before, "arm": arm})
        found = ancova(table, outcome="change", baseline="before", group="arm", reference="control")
        held: Held = {
            ("difference", "coverage"): holds(found, "active - control", EFFECT),
            ("equal slopes (F)", "error"): _rejects(found, "arm:before"),
        }
        if ratio == 1:
            held["d_residual", "coverage"] = holds(
                found, "active - control", EFFECT, of="effect_size_ci"
            )
        return held

    return draw


def visits(root: np.ndarray) -> Draw:
    """Repeated-measures ANOVA of four visits in two arms, with a root of their covariance."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        k = len(root)
        table = pd.DataFrame(
            {
                "subject": np.repeat(np.arange(n), k),
                "visit": np.tile(np.arange(k), n),
                "arm": np.repeat(_arms(n), k),
                "y": (rng.normal(size=(n, k)) @ root.T).ravel(),
            }
        )
        found = repeated_measures_anova(
            table, outcome="y", subject="subject", within="visit", between="arm"
        )
        return {
            (f"{term}, {method}", "error"): bool(row["p"] < ALPHA)
            for term, part in found.groupby(level=0)
            for method, row in part.set_index("df_method").iterrows()
        }

    return draw


def visit_pairs(root: np.ndarray) -> Draw:
    """Paired t tests of all pairs of four visits after Holm: any rejection is an error."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        k = len(root)
        y = _drop(rng.normal(size=(n, k)) @ root.T, missing, rng)
        table = pd.DataFrame(
            {
                "subject": np.repeat(np.arange(n), k),
                "visit": np.tile(np.arange(k), n),
                "y": y.ravel(),
            }
        )
        found = paired_comparisons(table, outcome="y", subject="subject", within="visit")
        return {("any of six pairs, Holm", "error"): bool((found["p_adjusted"] < ALPHA).any())}

    return draw


def periods(rng: np.random.Generator, n: int, missing: float) -> Held:
    """Crossover of two periods with an effect of the period, correlation .5 within people."""
    person, period = np.repeat(np.arange(n), 2), np.tile([1, 2], n)
    first = np.where(person % 2, "ketamine", "placebo")
    second = np.where(person % 2, "placebo", "ketamine")
    level = np.repeat(rng.normal(size=n), 2)
    treatment = np.where(period == 1, first, second)
    start = np.sqrt(0.5) * (level + rng.normal(size=2 * n))
    y = np.sqrt(0.5) * level + np.sqrt(0.5) * rng.normal(size=2 * n) + 0.5 * (period == 2)
    y = _drop(y, missing, rng) + EFFECT * (treatment == "ketamine")
    table = pd.DataFrame(
        {"subject": person, "period": period, "treatment": treatment, "y": y, "start": start}
    )
    found = crossover(
        table,
        outcome="y",
        subject="subject",
        period="period",
        treatment="treatment",
        reference="placebo",
        baseline="start",
    )
    contrast = "ketamine - placebo"
    return {
        ("treatment", "coverage"): holds(found, contrast, EFFECT),
        ("d_z", "coverage"): holds(found, contrast, EFFECT, of="effect_size_ci"),
        ("period", "coverage"): holds(found, "period", 0.5),
        ("sequence", "error"): _rejects(found, "sequence"),
        ("treatment | baseline", "coverage"): holds(found, f"{contrast} | start", EFFECT),
        ("treatment, period 1", "coverage"): holds(found, f"{contrast}, period 1", EFFECT),
    }


def events(share: float, formula: str) -> Draw:
    """Firth's logistic regression; a log odds ratio of 1.5 or none."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        table = pd.DataFrame({"arm": _arms(n), "z": rng.normal(size=n)})
        active, base = (table["arm"] == "active").to_numpy(), np.log(share / (1 - share))
        held: Held = {}
        for effect, kind in ((0.0, "error"), (1.5, "coverage")):
            chance = 1 / (1 + np.exp(-base - effect * active))
            table["y"] = rng.random(n) < chance
            table["arm"] = pd.Categorical(table["arm"], ["control", "active"])
            found = fit_firth(formula, table).estimates
            held["log odds ratio of arm", kind] = (
                holds(found, "arm[active]", effect) if effect else _rejects(found, "arm[active]")
            )
        return held

    return draw


def margins(ratio: float) -> Draw:
    """Equivalence and non-inferiority where the truth lies on the margin."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        a, b = rng.normal(size=n // 2) + 1.0, np.sqrt(ratio) * rng.normal(size=n - n // 2)
        held: Held = {}
        for name, equal in (("pooled", True), ("Welch", False)):
            both = equivalence(a, b, low=-10.0, high=1.0, equal_variance=equal)
            held[f"equivalence, {name}", "error"] = bool(both["equivalent"].iloc[0])
            one = non_inferiority(
                a, b, margin=1.0, higher_is_better=False, equal_variance=equal, alpha=ALPHA
            )
            held[f"non-inferiority, {name}", "error"] = bool(one["non_inferior"].iloc[0])
        return held

    return draw


def exchanges(rng: np.random.Generator, n: int, missing: float) -> Held:
    """Exact tests of means, on skewed values."""
    a, b = rng.exponential(size=n // 2), rng.exponential(size=n // 2)
    before, after = rng.exponential(size=(2, n))
    return {
        ("two groups", "error"): _rejects(exact_means(a, b), "difference"),
        ("pairs", "error"): _rejects(exact_means(before, after, paired=True), "difference"),
    }


def pairs_of_measures(shape: str) -> Draw:
    """Correlations over people, of .5 or none; or none of values with heavy tails."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        heavy = shape == "heavy tails"
        x, e, z = rng.standard_t(3, size=(3, n)) if heavy else rng.normal(size=(3, n))
        held: Held = {
            (method, "error"): _rejects(correlate(x, e, method=method), method)
            for method in ("pearson", "spearman")
        }
        held["partial pearson", "error"] = _rejects(
            correlate_partial(x + z, e + z, covariates=z), "partial pearson"
        )
        if not heavy:
            y = 0.5 * x + np.sqrt(0.75) * e
            truths = {"pearson": 0.5, "spearman": 6 / np.pi * np.arcsin(0.25)}
            for method, truth in truths.items():
                held[method, "coverage"] = holds(correlate(x, y, method=method), method, truth)
            found = correlate_partial(x + z, y + z, covariates=z)
            held["partial pearson", "coverage"] = holds(found, "partial pearson", 0.5)
        return held

    return draw


def measures_within(rng: np.random.Generator, n: int, missing: float) -> Held:
    """Correlation within persons over three visits, of .5 or none."""
    person = np.repeat(np.arange(n), 3)
    level = rng.normal(size=(2, n))[:, person]
    x, e = rng.normal(size=(2, 3 * n))
    held: Held = {}
    for rho, kind in ((0.0, "error"), (0.5, "coverage")):
        y = _drop(rho * x + np.sqrt(1 - rho**2) * e + level[1], missing, rng)
        table = pd.DataFrame({"subject": person, "x": x + level[0], "y": y})
        found = correlate_repeated(table, subject="subject", x="x", y="y")
        row = str(found.index[0])
        held["within persons", kind] = holds(found, row, rho) if rho else _rejects(found, row)
    return held


def raters(share: float, rater: float) -> Draw:
    """ICC and measurement error of three sessions; `rater` is the variance between sessions."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        error = 1 - share - rater
        scores = np.sqrt(share) * rng.normal(size=(n, 1)) + np.sqrt(rater) * rng.normal(size=(1, 3))
        scores = scores + np.sqrt(error) * rng.normal(size=(n, 3))
        table = pd.DataFrame(
            {
                "who": np.repeat(np.arange(n), 3),
                "session": np.tile(range(3), n),
                "y": scores.ravel(),
            }
        )
        found = icc(table, targets="who", raters="session", scores="y")
        held: Held = {
            ("ICC(2,1)", "coverage"): holds(found, "ICC(2,1)", share),
            ("ICC(3,1)", "coverage"): holds(found, "ICC(3,1)", share / (share + error)),
        }
        if not rater:
            held["ICC(1,1)", "coverage"] = holds(found, "ICC(1,1)", share)
        spread = repeatability(table, targets="who", raters="session", scores="y")
        for row, truth in (("sem_consistency", error), ("sem_agreement", rater + error)):
            held[row, "coverage"] = holds(spread, row, np.sqrt(truth))
        return held

    return draw


def variances(share: float, method: str) -> Draw:
    """Intervals of variance components and ICC of a random intercept, three visits."""

    def draw(rng: np.random.Generator, n: int, missing: float) -> Held:
        y = np.sqrt(share) * rng.normal(size=(n, 1)) + np.sqrt(1 - share) * rng.normal(size=(n, 3))
        y = _drop(y, missing, rng)
        table = pd.DataFrame(
            {"subject": np.repeat(np.arange(n), 3), "t": np.tile([0.0, 1, 2], n), "y": y.ravel()}
        )
        fit = fit_mixed("y ~ t + (1 | subject)", table, df="none")
        found = variance_intervals(fit, method=method, n_samples=199, rng=rng)
        truths = {"subject": share, "Residual": 1 - share, "ICC subject": share}
        return {(row, "coverage"): holds(found, row, truth) for row, truth in truths.items()}

    return draw


_SPHERICAL = np.linalg.cholesky(np.where(np.eye(4), 1.0, 0.5))
_DRIFT = np.linalg.cholesky(0.25 + np.minimum.outer(np.arange(1.0, 5), np.arange(1.0, 5)))
BOTH = (0.0, 0.2)

CASES = (
    Case("two groups", "equal variances", two_groups(1, 0.5)),
    Case("two groups", "variances 1 : 4", two_groups(4, 0.5)),
    Case("two groups", "variances 1 : 4, 30 % of people in the wider", two_groups(4, 0.3)),
    Case("two visits", "correlation .3", two_visits(0.3), shares_missing=BOTH),
    Case("two visits", "correlation .7", two_visits(0.7), shares_missing=BOTH),
    Case("ANCOVA of change", "equal variances", change(1), shares_missing=BOTH, cost="dear"),
    Case("ANCOVA of change", "variances 1 : 4", change(4), cost="dear"),
    Case("repeated-measures ANOVA", "spherical", visits(_SPHERICAL), cost="dear"),
    Case("repeated-measures ANOVA", "drift", visits(_DRIFT), cost="dear"),
    Case(
        "paired tests after ANOVA", "drift", visit_pairs(_DRIFT), shares_missing=BOTH, cost="dear"
    ),
    Case("crossover", "period effect", periods, shares_missing=BOTH, cost="dear"),
    Case("Firth logistic", "30 % events, arm", events(0.3, "y ~ arm"), cost="dearest"),
    Case(
        "Firth logistic",
        "30 % events, arm and covariate",
        events(0.3, "y ~ arm + z"),
        cost="dearest",
    ),
    Case(
        "Firth logistic",
        "10 % events, arm",
        events(0.1, "y ~ arm"),
        cost="dearest",
        people=(20, 40),
    ),
    Case("margins", "equal variances", margins(1)),
    Case("margins", "variances 1 : 4", margins(4)),
    Case("exact tests of means", "skewed", exchanges, people=(10,)),
    Case("correlation", "normal", pairs_of_measures("normal")),
    Case("correlation", "heavy tails", pairs_of_measures("heavy tails")),
    Case("correlation within persons", "three visits", measures_within, shares_missing=BOTH),
    Case("reliability", "ICC .3", raters(0.3, 0.0), cost="dear"),
    Case("reliability", "ICC .7", raters(0.7, 0.0), cost="dear"),
    Case("reliability", "ICC .6, sessions differ (.1)", raters(0.6, 0.1), cost="dear"),
    *(
        Case(
            f"variance components, {method}",
            f"ICC {share:.1f}".replace("0.", "."),
            variances(share, method),
            people=(10, 20) if method == "profile" else (10, 20, 40),
            shares_missing=(0.0,) if method == "profile" else BOTH,
            cost="dearest",
        )
        for method in ("profile", "bootstrap")
        for share in (0.3, 0.7)
    ),
)
