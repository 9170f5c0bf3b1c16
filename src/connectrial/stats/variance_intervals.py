"""Intervals for variance components and intraclass correlations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtri

from connectrial.errors import ModelError
from connectrial.stats.cholesky import CholeskyMap
from connectrial.stats.grammar import parse_formula
from connectrial.stats.likelihood import evaluate, linear_covariances
from connectrial.stats.model_fit import MixedFit
from connectrial.stats.optimise import minimise
from connectrial.stats.patterns import RandomBlock, gather, lay_out
from connectrial.stats.random_effects import component_names, random_blocks
from connectrial.stats.standardise import Standardised, standardise
from connectrial.stats.structured_edges import fit_random_edges

Array = NDArray[np.float64]

METHODS = ("profile", "bootstrap")
_LARGEST = 1e4  # of the outcome's deviation: profiles are not followed further up
_NO_RESIDUAL = 1e-10  # residual variance, of an outcome of unit variance
_BATCH = 128  # bootstrap samples that are fitted at once


def variance_intervals(
    fit: MixedFit,
    *,
    method: str = "profile",
    level: float = 0.95,
    n_samples: int = 999,
    rng: np.random.Generator | int | None = None,
) -> pd.DataFrame:
    """Find intervals for the variances and intraclass correlations of a model of random effects.

    Parameters
    ----------
    fit : MixedFit
        From `fit_mixed`.
    method : str
        ``"profile"``: where the profile of the fit's own (restricted) deviance rises by the
        quantile of chi-squared, zero if it never does on the way down. ``"bootstrap"``: quantiles
        over refits to samples from the fitted model.
    level : float
        Confidence level.
    n_samples : int
        Bootstrap samples.
    rng : Generator or int
        For the bootstrap; a seed or a generator must be given.

    Returns
    -------
    DataFrame
        Indexed by component, the residual last, then one row ``ICC <group>`` for each grouping if
        all random effects are intercepts: estimate, ci_low, ci_high, ci_level, method,
        n_failed (bootstrap samples without an optimum; they are left out, never replaced).

    Raises
    ------
    ModelError
        If the model has no random effects, or a choice is not allowed.
    """
    if method not in METHODS:
        raise ModelError(f"method: got {method!r}; allowed are 'profile' and 'bootstrap'")
    if not 0 < level < 1:
        raise ModelError(f"level: got {level!r}; give a number between 0 and 1, such as 0.95")
    parsed = parse_formula(fit.formula)
    if not parsed.random:
        raise ModelError("variance_intervals: the model has no random effects; use fit_mixed")
    blocks = random_blocks(parsed, fit.design)
    if method == "bootstrap":
        if rng is None:
            raise ModelError("rng: the bootstrap needs a seed or a generator; give one")
        return _bootstrap(fit, blocks, level, n_samples, np.random.default_rng(rng))
    return _profile(fit, blocks, level)


def _bootstrap(
    fit: MixedFit,
    blocks: Sequence[RandomBlock],
    level: float,
    n_samples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    design = fit.design
    x = design.matrix[:, design.estimable]
    mean = (x @ fit.solution.beta)[:, None]
    fitter = fit_random_edges(
        x, design.estimable_columns, blocks, df="none", reml=fit.method == "REML"
    )
    found, failed = [], 0
    for start in range(0, n_samples, _BATCH):
        size = min(_BATCH, n_samples - start)
        refit = fitter(mean + _sample(fit, blocks, size, rng))
        failed += int((~refit.fitted).sum())
        found.append(refit.variance[:, refit.fitted])
    samples = np.concatenate(found, axis=1)
    position, names = _variances(blocks)
    tail = (1 - level) / 2
    estimates, draws = fit.solution.parameters[position], samples[position]
    rows = [*zip(names, estimates, draws, strict=True)]
    rows += [
        (f"ICC {name}", estimate, draw)
        for name, estimate, draw in zip(
            names, _icc(blocks, estimates[:, None])[:, 0], _icc(blocks, draws), strict=False
        )
    ]
    return pd.DataFrame(
        {
            "estimate": [float(estimate) for _, estimate, _ in rows],
            "ci_low": [float(np.quantile(draw, tail)) for *_, draw in rows],
            "ci_high": [float(np.quantile(draw, 1 - tail)) for *_, draw in rows],
            "ci_level": level,
            "method": "bootstrap",
            "n_failed": failed,
        },
        index=pd.Index([name for name, *_ in rows], name="component"),
    )


def _sample(
    fit: MixedFit, blocks: Sequence[RandomBlock], size: int, rng: np.random.Generator
) -> Array:
    """Random effects and residuals (n_observations, size) from the fitted model."""
    mapping = CholeskyMap(tuple(len(block.effect_names) for block in blocks))
    total: Array = rng.normal(size=(fit.n_observations, size))
    total *= np.sqrt(fit.solution.parameters[-1])
    matrices = mapping.matrices(fit.solution.parameters[None])
    for block, matrix in zip(blocks, matrices, strict=True):
        values, vectors = np.linalg.eigh(matrix[0])
        root = vectors * np.sqrt(np.maximum(values, 0))
        drawn = rng.normal(size=(len(block.group_names), len(root), size))
        effects = np.einsum("ab,gbs->gas", root, drawn)
        given = block.effects * block.scales
        total += np.einsum("na,nas->ns", given, effects[block.codes])
    return total


def _profile(fit: MixedFit, blocks: Sequence[RandomBlock], level: float) -> pd.DataFrame:
    y = (fit.fitted + fit.residuals).to_numpy()
    standard = standardise(fit.outcome, y, fit.design)
    reml = fit.method == "REML"
    rise = float(chdtri(1, 1 - level))
    position, names = _variances(blocks)
    rows: list[tuple[str, float, float, float]] = []
    for place, name in zip(position, names, strict=True):
        ordered, unit = _put_first(blocks, int(place))
        profile = _Profile(ordered, standard, residual=name == "Residual", reml=reml)
        estimate = float(fit.solution.parameters[place])
        factor = unit / standard.scale
        low, high = _cross(profile, float(np.sqrt(estimate)) * factor, rise)
        rows.append((name, estimate, (low / factor) ** 2, (high / factor) ** 2))
    if len(blocks) == 1 and blocks[0].effect_names == ("Intercept",):
        rows.append(_profile_icc(blocks, standard, fit.solution.parameters, rise, reml=reml))
    return pd.DataFrame(
        {
            "estimate": [row[1] for row in rows],
            "ci_low": [row[2] for row in rows],
            "ci_high": [row[3] for row in rows],
            "ci_level": level,
            "method": "profile",
            "n_failed": 0,
        },
        index=pd.Index([row[0] for row in rows], name="component"),
    )


class _Profile:
    """Smallest deviance at a given standard deviation, of the first effect or the residual."""

    def __init__(
        self, blocks: Sequence[RandomBlock], standard: Standardised, *, residual: bool, reml: bool
    ) -> None:
        self.mapping = CholeskyMap(tuple(len(block.effect_names) for block in blocks))
        self.held = self.mapping.n_parameters - 1 if residual else 0
        layout = lay_out(blocks, standard.x)
        self.moments, self.bases, self.reml = (
            gather(layout, standard.outcome),
            layout.bases(),
            reml,
        )
        self.lowest = 0.0 if self.held == 0 else np.sqrt(_NO_RESIDUAL)

    def __call__(self, sd: float) -> float:
        starts = self.mapping.starts()
        starts[:, self.held] = sd
        others = np.delete(np.arange(self.mapping.n_parameters), self.held)
        moments = [m.take(np.zeros(len(starts), dtype=np.intp)) for m in self.moments]

        def objective(free: Array, problems: NDArray[np.intp]) -> tuple[Array, Array, Array]:
            points = np.full((len(free), self.mapping.n_parameters), sd)
            points[:, others] = free
            natural = self.mapping.natural(points)
            outside = (natural[:, -1] < _NO_RESIDUAL / 2) | (np.abs(points) > _LARGEST).any(axis=1)
            natural[outside] = self.mapping.natural(starts[:1])
            taken = [m.take(problems) for m in moments]
            state = evaluate(taken, linear_covariances(self.bases, natural), reml=self.reml)
            jacobian = self.mapping.jacobian(points)
            slope = np.einsum("ek,ekj->ej", state.gradient, jacobian)
            hessian = np.swapaxes(jacobian, 1, 2) @ state.hessian @ jacobian
            hessian += self.mapping.curvature(state.gradient)
            kept = np.ix_(np.arange(len(free)), others, others)
            return np.where(outside, np.inf, state.deviance), slope[:, others], hessian[kept]

        return float(minimise(objective, starts[:, others]).value.min())


def _cross(profile: Callable[[float], float], estimate: float, rise: float) -> tuple[float, float]:
    """Where a profile rises by so much on either side of its minimum."""
    lowest = float(getattr(profile, "lowest", 0.0))
    bottom = profile(max(estimate, lowest))

    def above(sd: float) -> float:
        return profile(sd) - bottom - rise

    high = max(2 * estimate, 0.1)
    while above(high) < 0:
        high *= 2
        if high > _LARGEST / 10:
            return lowest, float("inf")
    upper = brentq(above, max(estimate, lowest), high, xtol=1e-9)
    if above(lowest) <= 0:
        return 0.0, float(upper)
    return float(brentq(above, lowest, estimate, xtol=1e-9)), float(upper)


def _profile_icc(
    blocks: Sequence[RandomBlock],
    standard: Standardised,
    parameters: Array,
    rise: float,
    *,
    reml: bool,
) -> tuple[str, float, float, float]:
    """Profile of the share of the variance that lies between groups."""
    layout = lay_out(blocks, standard.x)
    moments, bases = gather(layout, standard.outcome), layout.bases()
    rows, columns = standard.x.shape
    n = rows - columns if reml else rows

    def deviance(share: float) -> float:
        ratio = share / (1 - share)
        both = linear_covariances(bases, np.array([[ratio, 1.0], [2 * ratio, 2.0]]))
        twice = [m.take(np.zeros(2, dtype=np.intp)) for m in moments]
        one, two = evaluate(twice, both, reml=reml).deviance
        # deviance = rest + n log s + q / s at scale s, so that two scales give q
        quadratic = 2 * (one - two + n * np.log(2))
        return float(one - quadratic + n * np.log(quadratic / n) + n)

    estimate = float(parameters[0] / parameters.sum())
    bottom = deviance(estimate)
    nearly = 1 - 1e-9
    high = nearly
    if deviance(nearly) > bottom + rise:
        high = brentq(lambda r: deviance(r) - bottom - rise, estimate, nearly, xtol=1e-12)
    low = 0.0
    if deviance(0.0) > bottom + rise:
        low = brentq(lambda r: deviance(r) - bottom - rise, 0.0, estimate, xtol=1e-12)
    return f"ICC {blocks[0].label}", estimate, float(low), float(high)


def _variances(blocks: Sequence[RandomBlock]) -> tuple[NDArray[np.intp], list[str]]:
    """Positions of the variances among the parameters, and their names."""
    names = component_names(blocks)
    keep, place = [], 0
    for block in blocks:
        for a in range(len(block.effect_names)):
            keep.append(place + a)
            place += a + 1
    keep.append(place)
    return np.array(keep, dtype=np.intp), [names[k] for k in keep]


def _icc(blocks: Sequence[RandomBlock], variances: Array) -> Array:
    """Shares (n_terms, n_samples) of each grouping's variance; none with random slopes."""
    if any(block.effect_names != ("Intercept",) for block in blocks):
        return np.zeros((0, variances.shape[1]))
    return np.asarray(variances[:-1] / variances.sum(axis=0), dtype=np.float64)


def _put_first(blocks: Sequence[RandomBlock], place: int) -> tuple[list[RandomBlock], float]:
    """Order effects so that one's standard deviation is the first entry of the factors."""
    position, _ = _variances(blocks)
    owners = [(i, j) for i, block in enumerate(blocks) for j in range(len(block.effect_names))]
    which = list(position).index(place)
    if which == len(owners):
        return list(blocks), 1.0
    i, j = owners[which]
    block = blocks[i]
    order = [j, *(k for k in range(len(block.effect_names)) if k != j)]
    first = replace(
        block,
        effects=block.effects[:, order],
        effect_names=tuple(block.effect_names[k] for k in order),
        scales=block.scales[order],
    )
    return [first, *blocks[:i], *blocks[i + 1 :]], float(block.scales[j])
