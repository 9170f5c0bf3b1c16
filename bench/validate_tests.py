"""Type-I error and interval coverage of all tests beside the mixed models, by simulation.

Writes docs/validation-tests.md and prints it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cells import Found, Study, add_resume
from reporting import DOCS, markdown_table, publish
from scipy import stats
from simulated_tests import ALPHA, CASES, EFFECT

from connectrial.errors import ModelError
from connectrial.stats.exact import boschloo_exact, fisher_exact, mcnemar
from connectrial.stats.proportions import (
    number_needed_to_treat,
    odds_ratio,
    proportion,
    risk_difference,
    risk_ratio,
)

PEOPLE = (10, 20, 40)
SHARES = (0.1, 0.3, 0.5)


@dataclass(frozen=True)
class Cell:
    """One case with a number of people and a share that is missing, as a job."""

    place: int  # in CASES: part of the seed
    name: str
    setting: str
    people: int
    missing: float
    repetitions: int
    seed: int


@dataclass(frozen=True)
class CountCell:
    """Two groups of people with one chance of an event each, as a job; nothing is random."""

    people: int
    share_a: float
    share_b: float


@dataclass(frozen=True)
class Outcome:
    """How often one test erred, or one interval covered, under one setting."""

    name: str
    quantity: str
    kind: str
    setting: str
    people: int
    missing: float
    rate: float
    repetitions: int
    lost: int

    @property
    def error(self) -> float:
        """Error for .05: of a test, or one minus the coverage of an interval."""
        return self.rate if self.kind == "error" else 1 - self.rate


def run_case(cell: Cell) -> Found:
    """All repetitions of a case; those without a result are counted."""
    case = CASES[cell.place]
    rng = np.random.default_rng([cell.seed, cell.place, cell.people, round(100 * cell.missing)])
    sums: dict[str, int] = {}
    lost = 0
    for _ in range(cell.repetitions):
        try:
            held = case.draw(rng, cell.people, cell.missing)
        except ModelError:
            lost += 1
            continue
        for (quantity, kind), yes in held.items():
            key = f"{kind}|{quantity}"
            sums[key] = sums.get(key, 0) + yes
    n = cell.repetitions - lost
    return {"lost": lost, "rates": {key: count / n for key, count in sums.items()}}


def run_counts(cell: CountCell) -> Found:
    """Exact rates: every table that two groups can give, weighted by its probability."""
    n, p, q = cell.people // 2, cell.share_a, cell.share_b
    a_weights = stats.binom.pmf(np.arange(n + 1), n, p)
    b_weights = stats.binom.pmf(np.arange(n + 1), n, q)
    rates: dict[str, float] = {}
    undefined = 0.0
    for x in range(n + 1):
        for name in ("wilson", "clopper-pearson") if p == q else ():
            row = proportion(x, n, method=name).iloc[0]
            _add(rates, f"coverage|proportion, {name}", a_weights[x] * _in(row, p))
        for y in range(n + 1):
            weight = float(a_weights[x] * b_weights[y])
            for key, yes in _judge((x, n), (y, n), p, q):
                _add(rates, key, weight * yes)
            undefined += weight * (x + y == 0)
    return {"lost": 0, "rates": rates, "no event": undefined}


def _judge(
    a: tuple[int, int], b: tuple[int, int], p: float, q: float
) -> Iterator[tuple[str, float]]:
    difference = risk_difference(a, b).iloc[0]
    yield "coverage|risk difference, Newcombe", _in(difference, p - q)
    yield "coverage|risk ratio, Koopman", _in(risk_ratio(a, b).iloc[0], p / q)
    odds = p / (1 - p) / (q / (1 - q))
    yield "coverage|odds ratio, conditional", _in(odds_ratio(a, b).iloc[0], odds)
    if p != q:
        needed = number_needed_to_treat(a, b).iloc[0]
        low, high, truth = needed["ci_low"], needed["ci_high"], 1 / (p - q)
        through = bool(needed["through_infinity"])
        covered = truth >= high or truth <= low if through else low <= truth <= high
        yield "coverage|number needed to treat", float(covered)
        return
    yield "error|score test", float(difference["p"] < ALPHA)
    yield "error|Fisher exact", float(fisher_exact(a, b) < ALPHA)
    yield "error|Boschloo exact", float(boschloo_exact(a, b) < ALPHA)


def run_changes(cell: CountCell) -> Found:
    """Exact rates of McNemar's test: every way in which people can say yes or no twice."""
    n, p = cell.people, cell.share_a
    both = p * p + 0.5 * p * (1 - p)  # phi = .5 between the two answers, where shares are equal
    chances = np.array([both, p - both, cell.share_b - both, 1 - p - cell.share_b + both])
    rates: dict[str, float] = {}
    for yes_yes in range(n + 1):
        for yes_no in range(n + 1 - yes_yes):
            for no_yes in range(n + 1 - yes_yes - yes_no):
                counts = (yes_yes, yes_no, no_yes, n - yes_yes - yes_no - no_yes)
                weight = float(stats.multinomial.pmf(counts, n, chances))
                if weight < 1e-9:  # all of these together weigh less than 1e-4
                    continue
                first = np.repeat([1, 1, 0, 0], counts)
                second = np.repeat([1, 0, 1, 0], counts)
                row = mcnemar(first, second).iloc[0]
                _add(rates, "error|McNemar exact", weight * (row["p"] < ALPHA))
                key = "coverage|paired difference, Newcombe"
                _add(rates, key, weight * _in(row, p - cell.share_b))
    return {"lost": 0, "rates": rates}


def _in(row, truth: float) -> float:
    return float(row["ci_low"] - 1e-12 <= truth <= row["ci_high"] + 1e-12)


def _add(rates: dict[str, float], key: str, weight: float) -> None:
    rates[key] = rates.get(key, 0.0) + float(weight)


def list_cells(options: argparse.Namespace) -> list[Cell]:
    """Every case with every number of people and share that is missing."""
    repetitions = {
        "cheap": options.repetitions,
        "dear": options.fewer or options.repetitions,
        "dearest": options.fewest or options.fewer or options.repetitions,
    }
    return [
        Cell(place, case.name, case.setting, people, missing, repetitions[case.cost], options.seed)
        for place, case in enumerate(CASES)
        for people in case.people
        for missing in case.shares_missing
    ]


def to_outcomes(cell: Cell, found: Found) -> list[Outcome]:
    """One outcome for each quantity of a simulated case."""
    return [
        Outcome(
            name=cell.name,
            quantity=key.partition("|")[2].replace(" | ", " given "),
            kind=key.partition("|")[0],
            setting=cell.setting,
            people=cell.people,
            missing=cell.missing,
            rate=rate,
            repetitions=cell.repetitions,
            lost=found["lost"],
        )
        for key, rate in found["rates"].items()
    ]


def count_outcomes(name: str, cell: CountCell, found: Found) -> list[Outcome]:
    """One outcome for each quantity of counts; the rates are exact."""
    what = f"{cell.share_a:.0%} and {cell.share_b:.0%} with an event"
    return [
        Outcome(name, *reversed(key.split("|")), what, cell.people, 0.0, rate, 0, 0)
        for key, rate in found["rates"].items()
    ]


def verdict(outcomes: list[Outcome]) -> str:
    """Say in words what the errors of one row amount to, each by its own Monte Carlo error."""
    words: list[str] = []
    for o in outcomes:
        n = o.repetitions - o.lost
        spread = max(0.01, 3.5 * float(np.sqrt(ALPHA * (1 - ALPHA) / n)) if n else 0.0)
        if o.error > ALPHA + spread:
            words.append("**invalid**" if o.error > 0.075 else "liberal")
        elif o.error < ALPHA - spread:
            words.append("very cautious" if o.error < 0.025 else "cautious")
    order = ("**invalid**", "liberal", "very cautious", "cautious")
    worst = [next((w for w in pair if w in words), "") for pair in (order[:2], order[2:])]
    return ", ".join(w for w in worst if w) or "holds"


def _number(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{value:.3f}".lstrip("0")


def rows_of(outcomes: list[Outcome]) -> list[list[object]]:
    """One row per quantity and setting, one column per number of people and share missing."""
    rows: list[list[object]] = []
    for key in dict.fromkeys((o.name, o.setting, o.quantity, o.kind) for o in outcomes):
        mine = [o for o in outcomes if (o.name, o.setting, o.quantity, o.kind) == key]
        name, setting, quantity, kind = key
        figures = []
        for people in PEOPLE:
            here = [o for o in mine if o.people == people]
            figures.append(
                " / ".join(_number(o.rate) + (f" ({o.lost} lost)" if o.lost else "") for o in here)
                or "–"
            )
        n = mine[0].repetitions
        rows.append(
            [name, setting, quantity, kind, *figures, f"{n:,}" if n else "exact", verdict(mine)]
        )
    return rows


def say_failures(outcomes: list[Outcome]) -> list[str]:
    """Put into words what is not valid, or cautious enough to cost power, worst first."""
    lines: dict[str, list[str]] = {"invalid": [], "liberal": [], "very cautious": []}
    for key in dict.fromkeys((o.name, o.quantity, o.kind) for o in outcomes):
        mine = [o for o in outcomes if (o.name, o.quantity, o.kind) == key]
        for word, found in lines.items():
            bad = [o for o in mine if word in verdict([o])]
            if not bad:
                continue
            worst = (min if "cautious" in word else max)(bad, key=lambda o: o.error)
            found.append(
                f"- *{word}*: {key[0]}, {key[1]}: {worst.kind} {_number(worst.rate)} at worst "
                f"({worst.setting}, {worst.people} people"
                + (f", {worst.missing:.0%} missing" if worst.missing else "")
                + f"), in {len(bad)} of {len(mine)} settings."
            )
            break
    return [line for found in lines.values() for line in found]


PAGE = """# Validation: other tests

Type-I error for .05 and coverage of 95 % intervals, by simulation, of the tests and effect sizes \
beside the mixed models.

{made}

## How

- 10, 20 or 40 people in all, in two groups of equal size unless it says otherwise; two figures \
(complete / a fifth missing at random) where a method has to do with missing values. Normal values of \
variance 1; differences of {effect} where a difference is present.
- *error*: share of p < .05 where nothing is there (equivalence and non-inferiority: where the truth \
lies on the margin). *coverage*: share of 95 % intervals that hold the truth, an effect being present. \
For differences of means the error is one minus the coverage, because test and interval are the same t.
- Counts, proportions and McNemar's test need no simulation: every table that can come up is weighed by \
its probability, so the rates are exact.
- *lost*: repetitions in which the method refuses (a group without two complete people, an outcome that \
everybody has); the rate is over the others, none is replaced.
- Monte Carlo standard error of a rate of .05: {mcse}. Verdict: *holds* within .040 to .060, or within \
3.5 standard errors of .05 where that is wider; beyond, *liberal*, or **invalid** above .075; \
*cautious*, or *very cautious* below .025. Exact tests on few people cannot reach .05, hence their \
caution.

## What fails

{failures}

## Why

Pooled t takes the variances to be equal: where the smaller of two unequal groups varies more it errs, \
and Welch's does not. An F test of visits without correction takes sphericity for granted; the \
corrections of Greenhouse-Geisser and Huynh-Feldt stand beside it. Score intervals hold on average over \
the true share, not for each, and exact ones pay with width for never falling short.

## Simulated

{simulated}

## Counts, exactly

Chance of an event in the two groups (or at the two visits).

{counts}
"""


def _say_errors(options: argparse.Namespace) -> str:
    counts = dict.fromkeys(
        [
            options.repetitions,
            options.fewer or options.repetitions,
            options.fewest or options.fewer or options.repetitions,
        ]
    )
    return ", ".join(
        f"{_number(float(np.sqrt(0.05 * 0.95 / n)))} with {n:,} repetitions" for n in counts
    )


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5000)
    parser.add_argument("--fewer", type=int, help="of tests that read tables; default all")
    parser.add_argument(
        "--fewest", type=int, help="of Firth's fits and of intervals of variances; default as fewer"
    )
    parser.add_argument("--output", type=Path, default=DOCS / "validation-tests.md")
    add_resume(parser)
    options = parser.parse_args()
    study = Study.from_options(options)
    cells = list_cells(options)
    cells.sort(key=lambda c: ("cheap", "dear", "dearest").index(CASES[c.place].cost))
    counts = [CountCell(n, p, q) for n in PEOPLE for p in SHARES for q in SHARES if p >= q]
    changes = [CountCell(n, p, p) for n in PEOPLE[:2] for p in SHARES[1:]]
    outcomes: dict[str, list[Outcome]] = {"simulated": [], "counts": []}
    for count_cell, found in study.run(run_counts, counts):
        outcomes["counts"] += count_outcomes("two groups", count_cell, found)
    for count_cell, found in study.run(run_changes, changes):
        outcomes["counts"] += count_outcomes("two visits", count_cell, found)
    for cell, found in study.run(run_case, cells):
        outcomes["simulated"] += to_outcomes(cell, found)
    headers = ["test", "setting", "quantity", "rate"]
    headers += [*(f"{n} people" for n in PEOPLE), "repetitions", "verdict"]
    page = PAGE.format(
        made=study.describe(__file__, options.seed),
        effect=EFFECT,
        mcse=_say_errors(options),
        failures="\n".join(say_failures(outcomes["simulated"] + outcomes["counts"])) or "Nothing.",
        simulated=markdown_table(headers, rows_of(outcomes["simulated"])),
        counts=markdown_table(headers, rows_of(outcomes["counts"])),
    )
    publish(page, options.output)


if __name__ == "__main__":
    main()
