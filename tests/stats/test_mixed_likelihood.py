"""The likelihood in few dimensions against the likelihood of all rows at once, and differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.stats.likelihood import evaluate, expected_hessian, linear_covariances
from connectrial.stats.optimise import minimise
from connectrial.stats.patterns import RandomBlock, gather, lay_out, pack, unpack
from connectrial.stats.random_intercept import find_spectrum, maximise, sum_by_subject


def problem(seed, n=40, p=3, n_outcomes=4):
    """Crossed slopes and intercepts on ragged rows."""
    rng = np.random.default_rng(seed)
    x = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))]))[0]
    y = rng.normal(size=(n, n_outcomes))
    blocks = []
    for label, n_groups, n_effects in (("subject", 9, 2), ("rater", 3, 1)):
        effects = np.column_stack([np.ones(n), rng.integers(0, 3, n)])[:, :n_effects]
        codes = np.unique(rng.integers(0, n_groups, n), return_inverse=True)[1]
        blocks.append(
            RandomBlock(
                label=label,
                effects=effects,
                effect_names=("Intercept", "time")[:n_effects],
                scales=np.ones(n_effects),
                codes=codes,
                group_names=tuple(map(str, range(codes.max() + 1))),
            )
        )
    return x, y - x @ (x.T @ y), blocks


PARAMETERS = np.array([[0.8, 0.2, 0.5, 0.3, 1.1], [0.1, -0.1, 0.4, 0.0, 0.7]])


def derivatives(blocks, n):
    """G_k of every linear parameter, over all rows."""
    found = []
    for block in blocks:
        same = block.codes[:, None] == block.codes
        for a in range(block.effects.shape[1]):
            for b in range(a + 1):
                outer = np.outer(block.effects[:, a], block.effects[:, b])
                found.append(same * (outer if a == b else outer + outer.T))
    return np.array([*found, np.eye(n)])


@pytest.mark.parametrize("reml", [True, False])
def test_the_likelihood_is_that_of_all_rows(reml):
    x, y, blocks = problem(0)
    g = derivatives(blocks, len(x))
    layout = lay_out(blocks, x)
    parameters = np.repeat(PARAMETERS, 2, axis=0)
    moments = gather(layout, y)
    state = evaluate(moments, linear_covariances(layout.bases(), parameters), reml=reml)
    for e, values in enumerate(parameters):
        inverse = np.linalg.inv(np.tensordot(values, g, axes=1))
        m = x.T @ inverse @ x
        beta = np.linalg.solve(m, x.T @ inverse @ y[:, e])
        r = y[:, e] - x @ beta
        n = len(x) - (x.shape[1] if reml else 0)
        expected = r @ inverse @ r - np.linalg.slogdet(inverse)[1] + n * np.log(2 * np.pi)
        expected += np.linalg.slogdet(m)[1] if reml else 0
        assert state.deviance[e] == pytest.approx(expected, abs=1e-9)
        np.testing.assert_allclose(state.beta[e], beta, atol=1e-10)
        np.testing.assert_allclose(state.covariance[e], np.linalg.inv(m), atol=1e-10)
        slopes = np.einsum("np,nm,kmr,rs,sq->kpq", x, inverse, g, inverse, x, optimize=True)
        np.testing.assert_allclose(state.slopes[e], slopes, atol=1e-9)


@pytest.mark.parametrize("reml", [True, False])
def test_derivatives_are_those_of_differences(reml):
    """Central differences, step 1e-5."""
    x, y, blocks = problem(1)
    layout = lay_out(blocks, x)
    moments = gather(layout, y)
    parameters = np.repeat(PARAMETERS, 2, axis=0)

    def at(values):
        return evaluate(moments, linear_covariances(layout.bases(), values), reml=reml)

    here = at(parameters)
    for k, step in enumerate(1e-5 * np.eye(5)):
        up, down = at(parameters + step), at(parameters - step)
        np.testing.assert_allclose(
            here.gradient[:, k], (up.deviance - down.deviance) / 2e-5, atol=1e-6
        )
        np.testing.assert_allclose(
            here.hessian[:, k], (up.gradient - down.gradient) / 2e-5, atol=1e-5
        )


def test_the_expected_hessian_is_the_mean_of_the_observed():
    """Over outcomes drawn from the model: 4,000 draws, within five standard errors."""
    x, _, blocks = problem(2, n=30)
    g = derivatives(blocks, len(x))
    v = np.tensordot(PARAMETERS[0], g, axes=1)
    draws = np.linalg.cholesky(v) @ np.random.default_rng(3).normal(size=(30, 4000))
    layout = lay_out(blocks, x)
    moments = gather(layout, draws)
    covariances = linear_covariances(layout.bases(), np.repeat(PARAMETERS[:1], 4000, axis=0))
    state = evaluate(moments, covariances, reml=True)
    expected = expected_hessian(moments, covariances, state)
    np.testing.assert_allclose(expected[0], expected[1], rtol=1e-9)
    error = state.hessian.std(axis=0) / np.sqrt(4000)
    assert (np.abs(state.hessian.mean(axis=0) - expected[0]) < 5 * error + 1e-9).all()
    # the gradient of the restricted likelihood is unbiased
    spread = state.gradient.std(axis=0) / np.sqrt(4000)
    assert (np.abs(state.gradient.mean(axis=0)) < 5 * spread).all()


@settings(max_examples=20, deadline=None)
@given(d=st.integers(1, 6), seed=st.integers(0, 1000))
def test_packing_is_reversible(d, seed):
    half = np.random.default_rng(seed).normal(size=(3, 2, d, d))
    matrices = half + np.swapaxes(half, 2, 3)
    np.testing.assert_array_equal(unpack(pack(matrices), d), matrices)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), reml=st.booleans(), size=st.floats(0, 2))
def test_the_profile_search_finds_the_lowest_point(seed, reml, size):
    """No ratio of variances on a fine grid has a lower deviance than the one that was found."""
    rng = np.random.default_rng(seed)
    codes = np.sort(rng.integers(0, 6, 20))
    codes = np.unique(codes, return_inverse=True)[1]
    x = np.linalg.qr(np.column_stack([np.ones(20), rng.normal(size=20)]))[0]
    y = size * rng.normal(size=(codes.max() + 1, 1))[codes] + rng.normal(size=(20, 1))
    y -= x @ (x.T @ y)
    total = np.einsum("ne,ne->e", y, y)
    found = maximise(
        find_spectrum(x, codes), sum_by_subject(y, codes), total, n_rows=20, n_columns=2, reml=reml
    )
    block = RandomBlock(
        label="s",
        effects=np.ones((20, 1)),
        effect_names=("Intercept",),
        scales=np.ones(1),
        codes=codes,
        group_names=tuple(map(str, range(codes.max() + 1))),
    )
    layout = lay_out([block], x)
    ratios = np.concatenate([[0.0], np.geomspace(1e-5, 1e4, 400)])
    n = 18 if reml else 20
    grid = linear_covariances(layout.bases(), np.column_stack([ratios, np.ones_like(ratios)]))
    moments = [m.take(np.zeros(len(ratios), dtype=int)) for m in gather(layout, y)]
    one = evaluate(moments, grid, reml=reml).deviance
    twice = linear_covariances(layout.bases(), 2 * np.column_stack([ratios, np.ones_like(ratios)]))
    q = 2 * (one - evaluate(moments, twice, reml=reml).deviance + n * np.log(2))
    profile = one - q + n * np.log(q / n) + n
    assert found.converged[0]
    assert found.deviance[0] <= profile.min() + 1e-8


def test_a_saddle_is_left():
    """x^4 / 4 - x^2 / 2 + y^2 has a saddle at 0 and minima at x = 1 and -1."""

    def objective(points, problems):
        x, y = points.T
        value = x**4 / 4 - x**2 / 2 + y**2
        hessian = np.zeros((len(points), 2, 2))
        hessian[:, 0, 0], hessian[:, 1, 1] = 3 * x**2 - 1, 2
        return value, np.column_stack([x**3 - x, 2 * y]), hessian

    found = minimise(objective, np.array([[0.01, 1.0], [-0.2, 3.0], [5.0, 0.0]]))
    assert found.converged.all()
    np.testing.assert_allclose(found.point, [[1, 0], [-1, 0], [1, 0]], atol=1e-7)
    np.testing.assert_allclose(found.value, -0.25)
