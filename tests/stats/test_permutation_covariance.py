"""Permutation with a covariance within persons that is held fixed, against brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError, ModelError
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.exchange import find_exchange
from connectrial.stats.permutation import permute_edges
from connectrial.stats.permutation_setup import set_up, tail_p

VISITS = ("a", "b", "c")


@pytest.fixture(scope="module")
def trial() -> tuple[np.ndarray, pd.DataFrame]:
    """Eighteen people, three visits, four missing; six edges."""
    rng = np.random.default_rng(21)
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(18), 3),
            "visit": np.tile(VISITS, 18),
            "day": np.tile([0.0, 7.0, 28.0], 18),
            "arm": np.repeat(["x", "y"] * 9, 3),
            "age": np.repeat(rng.normal(40, 10, 18), 3),
            "site": np.repeat(["s1", "s2", "s3"] * 6, 3),
        }
    ).drop([4, 11, 29, 32])
    person = table["subject"].to_numpy()
    values = (
        rng.normal(size=(len(table), 6)) * (1 + 0.3 * (table["visit"] == "c").to_numpy())[:, None]
    )
    values += rng.normal(size=(18, 6))[person]
    values += 0.04 * rng.normal(size=(18, 6))[person] * table["day"].to_numpy()[:, None]
    return values, table.reset_index(drop=True)


def call(trial, formula: str, term: str, **settings):
    values, table = trial
    settings = {"n_permutations": 7, "rng": 5, "edges": [[0, k] for k in range(1, 7)], **settings}
    settings["edges"] = settings["edges"][: values.shape[1]]
    return permute_edges(values, formula, table, term=term, blocks="subject", **settings)


def us_matrix(cells: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    sigma = np.zeros((3, 3))
    sigma[np.tril_indices(3)] = cells
    sigma = np.tril(sigma) + np.tril(sigma, -1).T
    visit = table["visit"].map(VISITS.index).to_numpy()
    person = table["subject"].to_numpy()
    return sigma[np.ix_(visit, visit)] * (person[:, None] == person)


def slope_matrix(cells: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    g = np.array([[cells[0], cells[1]], [cells[1], cells[2]]])
    z = np.column_stack([np.ones(len(table)), table["day"]])
    person = table["subject"].to_numpy()
    return (z @ g @ z.T) * (person[:, None] == person) + cells[3] * np.eye(len(table))


@pytest.mark.parametrize(
    ("random", "matrix"),
    [("us(visit | subject)", us_matrix), ("(1 + day | subject)", slope_matrix)],
)
@pytest.mark.parametrize(("term", "several"), [("visit:arm", True), ("arm", False)])
def test_fixed_covariance_is_generalised_least_squares(trial, random, matrix, term, several):
    values, table = trial
    formula = f"fc ~ visit {'*' if several else '+'} arm + age + {random}"
    result = call(trial, formula, term)
    names = list(result.design.columns)
    tested = [k for k, name in enumerate(names) if (":" in name if several else name == "arm[y]")]
    x = result.design.matrix
    nuisance = np.delete(x, tested, axis=1)
    frame = pd.DataFrame(nuisance, columns=[f"n{k}" for k in range(nuisance.shape[1])])
    reduced = f"0 + {' + '.join(frame.columns)} + {random}"
    null_fits = fit_edges(values, reduced, pd.concat([table, frame], axis=1), df="none")
    exchange = find_exchange(result.design, table, term=term, blocks="subject")
    assert result.scheme == "whole"
    rows, _ = exchange.draw(np.random.default_rng(5), 7)

    def statistic(y: np.ndarray, inverse: np.ndarray) -> float:
        precision = x.T @ inverse @ x
        beta = np.linalg.solve(precision, x.T @ inverse @ y)
        left = y - x @ beta
        spread = np.linalg.inv(precision) * (left @ inverse @ left) / (len(y) - x.shape[1])
        part = beta[tested]
        if several:
            inner = np.linalg.solve(spread[np.ix_(tested, tested)], part)
            return float(part @ inner / len(tested))
        return float(part[0] / np.sqrt(spread[tested[0], tested[0]]))

    null = np.zeros((7, 6))
    for edge in range(6):
        inverse = np.linalg.inv(matrix(null_fits.variance[:, edge], table))
        y = values[:, edge]
        assert result.statistic[edge] == pytest.approx(statistic(y, inverse), rel=1e-6)
        gamma = np.linalg.solve(nuisance.T @ inverse @ nuisance, nuisance.T @ inverse @ y)
        left = y - nuisance @ gamma
        null[:, edge] = [abs(statistic(left[np.argsort(order)], inverse)) for order in rows]
    np.testing.assert_allclose(result.null, null.max(axis=1), rtol=1e-4)  # single precision


def test_refitted_covariance_is_fit_edges_on_exchanged_residuals(trial):
    values, table = trial
    values = values[:, :2]
    formula = "fc ~ visit + arm + us(visit | subject)"
    result = call((values, table), formula, "arm", n_permutations=2, variance="refit")
    fits = fit_edges(values, formula, table, df="none")
    j = fits.terms.index("arm[y]")
    np.testing.assert_allclose(result.statistic, fits.statistic[j], rtol=1e-9)
    exchange = find_exchange(result.design, table, term="arm", blocks="subject")
    rows, _ = exchange.draw(np.random.default_rng(5), 2)
    nuisance = np.delete(result.design.matrix, j, axis=1)
    left = values - nuisance @ np.linalg.lstsq(nuisance, values, rcond=None)[0]
    for order, largest in zip(rows, result.null, strict=True):
        again = fit_edges(left[np.argsort(order)], formula, table, df="none")
        assert largest == pytest.approx(np.abs(again.statistic[j]).max(), rel=1e-9)


def test_a_random_intercept_is_compound_symmetry(trial):
    """The two ways to the same model differ by the rounding of the intraclass correlation."""
    one = call(trial, "fc ~ visit * arm + (1 | subject)", "visit[b]:arm[y]")
    other = call(trial, "fc ~ visit * arm + cs(visit | subject)", "visit[b]:arm[y]")
    np.testing.assert_allclose(one.statistic, other.statistic, rtol=0.03, atol=0.02)
    assert one.n_possible == other.n_possible


def test_levels_coded_as_numbers_are_numbers_in_random_terms_too(trial):
    one = call(trial, "fc ~ day + arm + (1 + day | subject)", "arm", visit="visit")
    coding = {"visit": {"a": 0, "b": 7, "c": 28}}
    formula = "fc ~ visit + arm + (1 + visit | subject)"
    other = call(trial, formula, "arm", coding=coding, visit="visit")
    np.testing.assert_allclose(one.statistic, other.statistic, rtol=1e-6)
    np.testing.assert_allclose(one.null, other.null, rtol=1e-4)


@pytest.mark.parametrize(
    ("formula", "term", "settings", "error", "says"),
    [
        ("fc ~ visit + arm + us(visit | arm / subject)", "arm", {}, ModelError, "of their own"),
        ("fc ~ visit + arm + us(visit | subject)", "visit", {}, ModelError, "rows of a person"),
        (
            "fc ~ visit + arm + (1 | subject) + (1 | site)", "arm", {},
            InputError, "a grouping of every random term",
        ),
        (
            "fc ~ visit * arm + us(visit | subject)", "visit:arm", {"variance": "refit"},
            InputError, "random intercept only",
        ),
    ],
)  # fmt: skip
def test_refuses(trial, formula, term, settings, error, says):
    with pytest.raises(error, match=says):
        call(trial, formula, term, **settings)


def test_slopes_over_times_that_differ_cannot_change_places(trial):
    values, table = trial
    moved = table.assign(day=table["day"] + 0.5 * (table["subject"] == 3))
    with pytest.raises(ModelError, match="of their own"):
        call((values, moved), "fc ~ visit + arm + (1 + day | subject)", "arm")


def test_family_wise_error_with_a_fixed_covariance_is_held():
    # 60 trials without effect, 12 people, visits of unlike variance
    rng = np.random.default_rng(99)
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(12), 3),
            "visit": np.tile(VISITS, 12),
            "arm": np.repeat(["x", "y"] * 6, 3),
        }
    )
    hits = 0
    for k in range(4):  # of 15 trials each, ten edges a trial, under the same exchanges
        values = rng.normal(size=(36, 150)) + 1.2 * rng.normal(size=(12, 150))[table["subject"]]
        values *= table["visit"].map({"a": 1.0, "b": 1.5, "c": 2.0}).to_numpy()[:, None]
        setup = set_up(
            values, "fc ~ visit + arm + us(visit | subject)", table, term="arm", blocks="subject",
            visit=None, scheme=None, parts=None, coding=None,
        )  # fmt: skip
        null = np.concatenate(
            [
                share.reshape(len(rows), 15, 10).max(axis=2)
                for rows, signs in setup.draws(39, k)
                for part in setup.parts
                for _, share in part.signed_shares(rows, signs, two_sided=True)
            ]
        )
        null = setup.any_design.to_statistic(null)
        observed = np.abs(setup.observed()).reshape(15, 10).max(axis=1)
        p = [tail_p(observed[[j]], null[:, j])[0] for j in range(15)]
        hits += int((np.array(p) <= 0.05).sum())
    assert hits / 60 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
