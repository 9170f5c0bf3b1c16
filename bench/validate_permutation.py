"""Family-wise error of the permutation schemes, by simulation.

Writes docs/validation-permutation.md and prints it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from cells import Found, Study, add_resume
from reporting import DOCS, markdown_table, publish

from connectrial.errors import ModelError
from connectrial.stats.network_permutation import permute_networks
from connectrial.stats.permutation import permute_edges
from connectrial.stats.permutation_measure import Measure
from connectrial.stats.permutation_setup import Setup, set_up, tail_p

PEOPLE = (10, 20, 40)
ICCS = (0.0, 0.3, 0.7)
SHARES_MISSING = (0.0, 0.2)
N_VISITS = 3
N_PARCELS = 8
N_EDGES = N_PARCELS * (N_PARCELS - 1) // 2
COMMON = 0.3  # correlation between edges
BATCH = 50  # trials that share missing visits and exchanges
ALPHA = 0.05

LINEAR, MIXED = "y ~ time * arm", "y ~ time * arm + (1 | subject)"
VISITS_COVARY = "y ~ time * arm + us(time | subject)"
THRESHOLD = 2.0


@dataclass(frozen=True)
class Case:
    """One way to permute, on one kind of data."""

    scheme: str
    formula: str
    term: str
    statistic: str = "max"
    variance: str = "fixed"
    people: int = 20
    missing: float = 0.0
    icc: float = 0.3
    n_trials: int = 1000
    n_permutations: int = 500
    seed: int = 0

    @property
    def model(self) -> str:
        """How the table calls the model."""
        if self.formula == VISITS_COVARY:
            return "unstructured covariance, fixed"
        if self.formula != MIXED:
            return "linear"
        return f"mixed, {'refit' if self.variance == 'refit' else 'fixed ratio'}"


@dataclass(frozen=True)
class Outcome:
    """Share of trials in which any edge has p <= .05; edges whose fit failed are counted, not tested."""

    case: Case
    n_tested: int
    error: float
    fewest: float
    n_edges_out: int = 0


WAYS = (
    Case("signs", "y ~ 1", "Intercept"),
    Case("within", LINEAR, "time"),
    Case("whole", LINEAR, "arm"),
    Case("whole", LINEAR, "time:arm"),
    Case("within", MIXED, "time"),
    Case("whole", MIXED, "arm"),
    Case("whole", MIXED, "time:arm"),
)
LAST = "time[v2]:arm[active]"
SLOW_WAYS = (
    Case("whole", LINEAR, LAST, statistic="networks"),
    Case("whole", LINEAR, LAST, statistic="nbs-extent"),
    Case("whole", LINEAR, LAST, statistic="nbs-intensity"),
    Case("whole", VISITS_COVARY, LAST),
    Case("whole", LINEAR, LAST, statistic="tfnbs"),
    Case("whole", MIXED, LAST, variance="refit"),
)


def make_table(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    """One row per person and visit that was not missed."""
    person = np.repeat(np.arange(case.people), N_VISITS)
    visit = np.tile(np.arange(N_VISITS), case.people)
    table = pd.DataFrame(
        {
            "person": person,
            "subject": [f"s{k:02d}" for k in person],
            "time": pd.Categorical([f"v{k}" for k in visit]),
            "arm": pd.Categorical(np.where(person % 2, "active", "control"), ["control", "active"]),
        }
    )
    gone = rng.choice(len(table), size=round(case.missing * len(table)), replace=False)
    return table.drop(index=gone).reset_index(drop=True)


def simulate(case: Case, table: pd.DataFrame, n_trials: int, rng) -> np.ndarray:
    """Edges of several trials (n_rows, n_trials * N_EDGES), without any effect of the term."""

    def noise(n: int) -> np.ndarray:
        own, common = rng.normal(size=(n, n_trials, N_EDGES)), rng.normal(size=(n, n_trials, 1))
        return (np.sqrt(1 - COMMON) * own + np.sqrt(COMMON) * common).reshape(n, -1)

    y = np.sqrt(case.icc) * noise(case.people)[table["person"]]
    y += np.sqrt(1 - case.icc) * noise(len(table))
    if case.term != "arm" and case.formula != "y ~ 1":
        y += 0.8 * (table["arm"] == "active").to_numpy()[:, None]
    if case.term != "time" and case.formula != "y ~ 1":
        y += 0.5 * table["time"].cat.codes.to_numpy()[:, None]
    return y


def run_case(case: Case) -> Found:
    """All trials of a case, batch by batch."""
    key = [case.seed, case.people, round(100 * case.missing), round(100 * case.icc), len(case.term)]
    rng = np.random.default_rng(key)
    one_by_one = case.statistic == "networks"
    size = 100 if case.variance == "refit" else BATCH
    p: list[float] = []
    fewest, n_left, n_edges_out = np.inf, case.n_trials, 0
    while n_left:
        n_batch = min(size, n_left)
        n_left -= n_batch
        table = make_table(case, rng)
        values = simulate(case, table, n_batch, rng)
        try:
            setup = prepare(case, values, table)
        except ModelError:  # no exchange is possible with these missing visits
            continue
        fewest = min(fewest, setup.exchange.n_possible)
        if one_by_one:
            trials = np.split(values, n_batch, axis=1)
            p += [one_trial(case, trial, table, int(rng.integers(2**32))) for trial in trials]
        else:
            n_edges_out += int((~setup.tested).sum())
            p += [found for found in all_trials(case, setup, n_batch, rng) if not np.isnan(found)]
    error = float(np.mean(np.array(p) <= ALPHA)) if p else np.nan
    return {"n_tested": len(p), "error": error, "fewest": fewest, "n_edges_out": n_edges_out}


def prepare(case: Case, values: np.ndarray, table: pd.DataFrame) -> Setup:
    """What `permute_edges` does before it permutes."""
    setup = set_up(
        values,
        case.formula,
        table,
        term=case.term,
        blocks="subject",
        visit="time",
        scheme=None,
        parts=None,
        coding=None,
    )
    if setup.exchange.scheme != case.scheme:
        raise RuntimeError(f"not what was meant: {setup.exchange.scheme} for {case}")
    return setup


def all_trials(case: Case, setup: Setup, n_trials: int, rng) -> np.ndarray:
    """Smallest p of each trial, as `permute_edges` finds it, under the same exchanges for all.

    NaN for a trial none of whose edges can be tested.
    """
    measure = Measure(
        ends=np.column_stack(np.triu_indices(N_PARCELS, 1)),
        n_parcels=N_PARCELS,
        statistic=case.statistic,
        threshold=THRESHOLD,
        exponents=(0.4, 3.0),
        alternative="two-sided",
    )

    def largest(statistic: np.ndarray) -> np.ndarray:
        every = np.zeros((*statistic.shape[:-1], setup.tested.size), dtype=statistic.dtype)
        every[..., setup.tested] = np.abs(
            statistic
        )  # an edge that is not tested is never the largest
        flat = every.reshape(-1, N_EDGES)
        found = flat.max(axis=1) if case.statistic == "max" else measure.largest_of(flat)
        return found.reshape(*statistic.shape[:-1], n_trials)

    draws = setup.draws(case.n_permutations, rng)
    if case.variance == "refit":
        observed = largest(setup.refit.statistic(setup.outcomes))
        null = setup.refit.null(setup.outcomes, draws, largest)
    else:
        observed = largest(setup.observed()[setup.tested])
        batches = []
        for rows, signs in draws:
            shares = np.empty((len(rows), setup.n_tested), dtype=np.float32)
            for part in setup.parts:
                for which, share in part.signed_shares(rows, signs, two_sided=True):
                    shares[:, part.edges[which]] = share
            if case.statistic == "max":  # the statistic grows with the share
                batches.append(setup.any_design.to_statistic(largest(shares)))
            else:
                batches.append(largest(setup.any_design.to_statistic(shares.astype(np.float64))))
        null = np.concatenate(batches)
    p = np.array([tail_p(observed[[k]], null[:, k])[0] for k in range(n_trials)])
    p[~setup.tested.reshape(n_trials, N_EDGES).any(axis=1)] = np.nan
    return p


def one_trial(case: Case, values: np.ndarray, table: pd.DataFrame, seed: int) -> float:
    """Smallest p of one trial."""
    common = {
        "term": case.term,
        "n_permutations": case.n_permutations,
        "blocks": "subject",
        "visit": "time",
        "rng": seed,
    }
    if case.statistic == "networks":
        ends = np.column_stack(np.triu_indices(N_PARCELS, 1)) >= N_PARCELS // 2
        labels = [("A", "A-B", "B")[a + b] for a, b in ends.astype(int)]
        found = permute_networks(values, case.formula, table, labels=labels, **common)
        return float(found.estimates["p"].min())
    threshold = THRESHOLD if case.statistic.startswith("nbs") else None
    result = permute_edges(
        values,
        case.formula,
        table,
        statistic=case.statistic,
        threshold=threshold,
        variance=case.variance,
        **common,
    )
    return float(np.nanmin(result.p))


def check_shortcut() -> None:
    """Trials taken together must have the p that `permute_edges` gives to each alone."""
    for way in (*WAYS, *SLOW_WAYS):
        if way.statistic == "networks":  # is done trial by trial
            continue
        case = replace(way, missing=0.2, n_permutations=30 if way.variance == "refit" else 60)
        rng = np.random.default_rng(3)
        table = make_table(case, rng)
        values = simulate(case, table, 3, rng)
        together = all_trials(case, prepare(case, values, table), 3, np.random.default_rng(5))
        alone = [one_trial(case, v, table, 5) for v in np.split(values, 3, axis=1)]
        if not np.array_equal(together, alone):
            raise RuntimeError(f"{case}: {together} together, {alone} alone")


def verdict(outcome: Outcome) -> str:
    """Say in a word what an error rate for .05 amounts to, given its Monte Carlo error."""
    if not outcome.n_tested:
        return "no test possible"
    mcse = np.sqrt(ALPHA * (1 - ALPHA) / outcome.n_tested)
    high = (outcome.error - ALPHA) / mcse
    if outcome.error > 0.075 and high > 3:
        return "**invalid**"
    if high > 3:
        return "liberal"
    return "cautious" if high < -3 else "holds"


def _rate(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{value:.3f}".lstrip("0")


def _share(n: int, of: int) -> str:
    return f"{n / of:.1%}" if n else "0"


def fast_rows(outcomes: list[Outcome]) -> list[list[object]]:
    """One row per way, number of people and missingness; three ICCs in a cell."""
    rows: list[list[object]] = []
    keys = dict.fromkeys(
        (o.case.scheme, o.case.term, o.case.model, o.case.people, o.case.missing) for o in outcomes
    )
    for key in keys:
        cells = [
            o
            for o in outcomes
            if (o.case.scheme, o.case.term, o.case.model, o.case.people, o.case.missing) == key
        ]
        scheme, term, model, people, missing = key
        words = list(dict.fromkeys(verdict(o) for o in cells))
        words = [w for w in words if w != "holds"] or words
        rows.append(
            [
                scheme,
                term,
                model,
                people,
                f"{missing:.0%}",
                *(_rate(o.error) for o in cells),
                sum(o.case.n_trials - o.n_tested for o in cells),
                _count(min(o.fewest for o in cells)),
                ", ".join(words),
            ]
        )
    return rows


def _count(n: float) -> str:
    if n == np.inf:
        return "–"
    return f"{n:,}" if n < 10**6 else f"{n:.0e}".replace("e+0", "e").replace("e+", "e")


def say_failures(outcomes: list[Outcome]) -> list[str]:
    """Put into words what does not hold, one line per way, number of people and missingness."""
    meaning = {
        "**invalid**": "too many false findings",
        "liberal": "somewhat too many false findings",
        "cautious": "fewer false findings than allowed, hence less power",
        "no test possible": "no exchange changes the design",
    }
    found: dict[tuple[str, str], list[str]] = {}
    for o in outcomes:
        word, c = verdict(o), o.case
        if word not in meaning:
            continue
        what = f"{c.term} ({c.scheme}, {c.model}, {c.statistic}), {c.people} people, "
        what += f"{c.missing:.0%} missing"
        few = f"; as few as {_count(o.fewest)} exchanges" if o.fewest < 100 else ""
        found.setdefault((word, what), []).append(f"{_rate(o.error)} (ICC {c.icc:g}{few})")
    return [
        f"- {word}, {meaning[word]}: {what}: {', '.join(rates)}."
        for (word, what), rates in sorted(found.items(), key=lambda x: list(meaning).index(x[0][0]))
    ]


PAGE = """# Validation: permutation

Family-wise error of `permute_edges` and `permute_networks` by simulation: the share of trials without \
any effect of the tested term in which at least one edge has p ≤ .05.

{made}

## How

- Two arms of equal size, {people} people in all, 3 visits, {edges} edges with correlation {common} \
between edges; effects of the other terms are there (visit .5 a step, arm .8), so that the exchange of \
residuals is put to work. A fifth of the visits is missing at random or none.
- {trials} trials of {permutations} exchanges (all of them where fewer are possible). Monte Carlo standard \
error {mcse}. Blocks of {batch} trials share their missing visits and their exchanges, which makes the \
study fast and changes no p: every run first checks that `permute_edges` gives each trial the same p.
- Trials for which no exchange is possible are counted, and left out of the rate. An edge whose \
covariance cannot be fitted is not tested; such edges are counted too, and never replaced.
- Verdict: *holds* if the rate is within three standard errors of .05; *cautious* below, *liberal* above, \
**invalid** above that and .075. Of some {count} rates about one in 370 is further off by chance.
- *Possible exchanges*: the fewest that any of the designs of a row allowed; with fewer than 20 no p can \
reach .05.

## What does not hold

{failures}

## Largest statistic

Visit and its interaction have two columns, so that their statistic is F. *Fixed ratio*: random \
intercept with the variance ratio of the model without the term.

{fast}

## Components, networks and refits

ICC .3, the last visit by arm; {slow_trials} trials (Monte Carlo standard error {slow_mcse}) of \
{permutations} exchanges; the threshold of the components is |t| > {threshold:g}. Networks: three blocks \
of edges. *Refit*: the random intercept fitted anew under every exchange.

{slow}
"""


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000, help="trials")
    parser.add_argument(
        "--slow-repetitions", type=int, help="of components and refits; default all"
    )
    parser.add_argument("--permutations", type=int, default=500)
    parser.add_argument("--output", type=Path, default=DOCS / "validation-permutation.md")
    add_resume(parser)
    options = parser.parse_args()
    study = Study.from_options(options)
    check_shortcut()
    n_slow = options.slow_repetitions or options.repetitions
    common = {"n_permutations": options.permutations, "seed": options.seed}
    fast_cases = [
        replace(way, people=n, missing=missing, icc=icc, n_trials=options.repetitions, **common)
        for way in WAYS
        for n in PEOPLE
        for missing in SHARES_MISSING
        for icc in ICCS
    ]
    slow_cases = [
        replace(way, people=n, missing=missing, n_trials=n_slow, **common)
        for way in SLOW_WAYS
        for n in PEOPLE
        for missing in SHARES_MISSING
    ]
    # a study that is stopped has the most: threshold-free scores and refits cost hundreds of times more
    dear = [c for c in slow_cases if c.statistic == "tfnbs" or c.variance == "refit"]
    cases = [*[c for c in slow_cases if c not in dear], *fast_cases, *dear]
    outcomes = [Outcome(case=case, **found) for case, found in study.run(run_case, cases)]
    slow = [o for o in outcomes if o.case in set(slow_cases)]
    fast = [o for o in outcomes if o.case not in set(slow_cases)]
    page = PAGE.format(
        made=study.describe(__file__, options.seed),
        people="10, 20 or 40",
        edges=N_EDGES,
        common=COMMON,
        trials=f"{options.repetitions:,}",
        permutations=options.permutations,
        mcse=_rate(float(np.sqrt(0.05 * 0.95 / options.repetitions))),
        batch=BATCH,
        count=len(fast) + len(slow),
        failures="\n".join(say_failures(fast + slow)) or "Everything holds.",
        fast=markdown_table(
            [
                "scheme",
                "term",
                "model",
                "people",
                "missing",
                *(f"error, ICC {icc:g}" for icc in ICCS),
                "no test",
                "possible exchanges",
                "verdict",
            ],
            fast_rows(fast),
        ),
        slow_trials=f"{n_slow:,}",
        threshold=THRESHOLD,
        slow_mcse=_rate(float(np.sqrt(0.05 * 0.95 / n_slow))),
        slow=markdown_table(
            ["statistic", "model", "people", "missing", "error", "no test", "edges out", "verdict"],
            [
                [
                    o.case.statistic,
                    o.case.model,
                    o.case.people,
                    f"{o.case.missing:.0%}",
                    _rate(o.error),
                    o.case.n_trials - o.n_tested,
                    _share(o.n_edges_out, o.case.n_trials * N_EDGES),
                    verdict(o),
                ]
                for o in slow
            ],
        ),
    )
    publish(page, options.output)


if __name__ == "__main__":
    main()
