"""Many edges take a quick way to the optimum of a covariance between visits; few do not.

Laws: the quick way ends where Newton's method with exact derivatives ends, and where theory says.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.stats.edgewise import fit_edges
from connectrial.stats.grammar import STRUCTURES

N_EDGES = 60  # fits of more than 50 edges take the quick way


def trial(n_subjects: int, n_visits: int, n_missing: int, seed: int) -> pd.DataFrame:
    """People of two arms, some visits missing at random."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(n_subjects), n_visits)
    table = pd.DataFrame(
        {
            "subject": [f"s{k:02d}" for k in person],
            "time": pd.Categorical([f"v{k}" for k in np.tile(np.arange(n_visits), n_subjects)]),
            "arm": pd.Categorical(np.where(person % 2, "active", "control"), ["control", "active"]),
            "age": rng.normal(0, 1, n_subjects)[person],
        }
    )
    lost = rng.choice(len(table), size=n_missing, replace=False)
    return table.drop(index=lost).reset_index(drop=True)


def edges_of(table: pd.DataFrame, n_edges: int, seed: int) -> np.ndarray:
    """Edges with correlations between visits from none to .8, and variances that grow."""
    rng = np.random.default_rng(seed)
    person = pd.factorize(table["subject"])[0]
    icc = rng.uniform(0, 0.8, n_edges)
    values = rng.normal(size=(len(table), n_edges)) * np.sqrt(1 - icc)
    values += (rng.normal(size=(person.max() + 1, n_edges)) * np.sqrt(icc))[person]
    return values * (1 + 0.2 * table["time"].cat.codes.to_numpy()[:, None])


@pytest.mark.parametrize(
    ("structure", "grouping"),
    [(s, "subject") for s in STRUCTURES] + [(s, "arm / subject") for s in ("us", "cs", "ar1h")],
)
def test_many_edges_end_where_few_end(structure: str, grouping: str) -> None:
    table = trial(36, 3, 18, seed=1)
    values = edges_of(table, N_EDGES, seed=2)
    formula = f"fc_z ~ time * arm + age + {structure}(time | {grouping})"
    df = "kenward-roger" if grouping == "subject" else "satterthwaite"
    many = fit_edges(values, formula, table, df=df)
    few = [
        fit_edges(values[:, part], formula, table, df=df) for part in (slice(0, 15), slice(45, 60))
    ]
    kept = np.r_[0:15, 45:60]
    se = np.concatenate([fit.se for fit in few], axis=1)
    for name, scale, tolerance in (
        ("estimate", se, 1e-6),
        ("se", se, 1e-6),
        ("df", np.concatenate([fit.df for fit in few], axis=1), 1e-5),
    ):
        one = getattr(many, name)[:, kept]
        other = np.concatenate([getattr(fit, name) for fit in few], axis=1)
        assert np.abs((one - other) / scale).max() < tolerance, name
    deviance = np.concatenate([fit.deviance for fit in few])
    np.testing.assert_allclose(many.deviance[kept], deviance, rtol=0, atol=1e-9)


def test_complete_visits_with_one_design_have_the_covariance_of_their_residuals() -> None:
    """Restricted likelihood of a multivariate regression: E'E / (n - p), Anderson (2003) 8.2."""
    table = trial(24, 4, 0, seed=3)
    values = edges_of(table, N_EDGES, seed=4)
    fits = fit_edges(values, "fc_z ~ time * arm + us(time | subject)", table, df="none")
    wide = values.reshape(24, 4, N_EDGES)
    arm = (np.arange(24) % 2)[:, None] == np.arange(2)
    means = np.einsum("ia,ite->ate", arm / 12, wide)
    residual = wide - means[np.arange(24) % 2]
    expected = np.einsum("ise,ite->ste", residual, residual) / 22
    rows, columns = np.tril_indices(4)
    assert np.all(fits.flags == "")
    np.testing.assert_allclose(fits.variance, expected[rows, columns], rtol=1e-6, atol=1e-7)


def test_an_edge_that_has_no_optimum_does_not_disturb_the_others() -> None:
    table = trial(20, 3, 8, seed=5)
    values = edges_of(table, N_EDGES, seed=6)
    formula = "fc_z ~ time * arm + us(time | subject)"
    alone = fit_edges(values, formula, table)
    values[:, 7] = np.where(table["time"] == "v1", 1.0, 2.0)  # nothing is left to vary
    values[:, 8] = values[:, 9] = pd.factorize(table["subject"])[0].astype(float)  # singular
    both = fit_edges(values, formula, table)
    assert both.flags[7].startswith("not estimable")
    kept = np.delete(np.arange(N_EDGES), [7, 8, 9])
    np.testing.assert_allclose(
        both.estimate[:, kept], alone.estimate[:, kept], rtol=1e-6, atol=1e-8
    )
    assert np.all(both.flags[kept] == "")
