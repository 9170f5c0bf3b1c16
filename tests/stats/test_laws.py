"""Laws that hold for every mixed model, whatever the data: hypothesis looks for a counter-example."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import ModelError
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm

FORMULAS = {
    "intercept": ("y ~ visit * arm + (1 | subject)", fit_mixed),
    "unstructured": ("y ~ visit * arm + us(visit | subject)", fit_mmrm),
    "autoregressive": ("y ~ visit * arm + ar1h(visit | subject)", fit_mmrm),
}
COLUMNS = ["estimate", "se", "df", "statistic", "p"]


def trial(seed: int, n_subjects: int = 14) -> pd.DataFrame:
    """Simulate people of two arms at three visits, a tenth of the visits missing."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"s{number:02d}", visit, ("placebo", "drug")[number % 2])
        for number in range(n_subjects)
        for visit in ("one", "two", "three")
    ]
    data = pd.DataFrame(rows, columns=["subject", "visit", "arm"])
    person = dict(zip(data["subject"].unique(), rng.normal(size=n_subjects), strict=True))
    data["y"] = data["subject"].map(person) + rng.normal(size=len(data))
    data["visit"] = pd.Categorical(data["visit"], ["one", "two", "three"], ordered=True)
    data["arm"] = pd.Categorical(data["arm"], ["placebo", "drug"])
    return data[rng.random(len(data)) > 0.1].reset_index(drop=True)


def fitted(model: str, data: pd.DataFrame) -> pd.DataFrame:
    formula, fit = FORMULAS[model]
    return fit(formula, data).estimates


def close(one: pd.DataFrame, other: pd.DataFrame, columns: list[str] = COLUMNS) -> None:
    for column in columns:
        assert other[column].to_numpy() == pytest.approx(one[column].to_numpy(), rel=2e-5, abs=1e-7)


@pytest.mark.parametrize("model", FORMULAS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(model, seed, shuffle):
    data = trial(seed)
    order = list(range(len(data)))
    shuffle.shuffle(order)
    close(fitted(model, data), fitted(model, data.iloc[order].reset_index(drop=True)))


@pytest.mark.parametrize("model", FORMULAS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), names=st.permutations(["zz", "aa", "mm mm", "Ö:1"]))
def test_the_names_of_levels_and_people_do_not_matter(model, seed, names):
    data = trial(seed)
    renamed = data.assign(
        visit=data["visit"].cat.rename_categories(
            dict(zip(["one", "two", "three"], names, strict=False))
        ),
        arm=data["arm"].cat.rename_categories({"placebo": "z", "drug": "a"}),
        subject=data["subject"].map(lambda name: f"p{97 - int(name[1:])}"),
    )
    close(fitted(model, data), fitted(model, renamed))


@pytest.mark.parametrize("model", FORMULAS)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shift=st.floats(-1e4, 1e4),
    scale=st.floats(1e-3, 1e3),
)
def test_shift_and_scale_move_estimates_and_nothing_else(model, seed, shift, scale):
    data = trial(seed)
    plain, moved = fitted(model, data), fitted(model, data.assign(y=shift + scale * data["y"]))
    expected = plain.assign(estimate=scale * plain["estimate"], se=scale * plain["se"])
    expected.loc["Intercept", "estimate"] += shift
    rest = expected.index != "Intercept"
    assert moved.loc["Intercept", "estimate"] == pytest.approx(
        expected.loc["Intercept", "estimate"], rel=1e-6, abs=1e-5 * scale
    )
    close(expected[rest], moved[rest])
    assert moved["se"].to_numpy() == pytest.approx(expected["se"].to_numpy(), rel=2e-5)


ALONE = {
    "intercept": "y ~ visit * arm + (1 | subject)",
    "slope": "y ~ day * arm + (day | subject)",
    "separate slope": "y ~ day * arm + (day || subject)",
    "unstructured": "y ~ visit * arm + us(visit | subject)",
    "compound": "y ~ visit * arm + csh(visit | subject)",
    "autoregressive": "y ~ visit * arm + ar1h(visit | subject)",
    "toeplitz": "y ~ visit * arm + toep(visit | subject)",
    "ante-dependent": "y ~ visit * arm + ad(visit | subject)",
}


@pytest.mark.parametrize("model", ALONE)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000), n_edges=st.integers(2, 12))
def test_an_edge_among_many_is_the_edge_alone(model, seed, n_edges):
    formula = ALONE[model]
    fit_alone = fit_mixed if "(1 |" in formula or "(day |" in formula else fit_mmrm
    data = trial(seed).assign(day=lambda t: t["visit"].cat.codes.astype(float))
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(data), n_edges)) + data["y"].to_numpy()[:, None]
    values[rng.random(values.shape) < 0.03] = np.nan
    together = fit_edges(values, formula, data)
    for edge in {0, n_edges - 1}:
        try:
            alone = fit_alone(formula, data.assign(y=values[:, edge])).estimates
        except ModelError:
            # What cannot be fitted alone is flagged among many, and has no p that looks fine.
            assert np.isnan(together.p[:, edge]).all()
            continue
        for column in COLUMNS:
            found = np.asarray(getattr(together, column))[:, edge]
            assert found == pytest.approx(alone[column].to_numpy(), rel=1e-5, abs=1e-8, nan_ok=True)
