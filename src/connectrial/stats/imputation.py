"""Reference-based multiple imputation: as if dropouts went on like the reference arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.arm_model import ArmModel, Chain, maximum_likelihood
from connectrial.stats.rows import check_level, estimate_row, stack
from connectrial.stats.rubin import pool_rubin

Array = NDArray[np.float64]
Strategy = Literal["jump to reference", "copy reference", "copy increments", "mar"]
STRATEGIES: tuple[str, ...] = ("jump to reference", "copy reference", "copy increments", "mar")

_BURN_IN = 200
_BETWEEN = 20


def joint_distribution(
    own_mean: Array,
    own_sigma: Array,
    reference_mean: Array,
    reference_sigma: Array,
    *,
    n_before: int,
    strategy: Strategy,
) -> tuple[Array, Array]:
    """Return the distribution of a person's whole course under a reference-based assumption.

    Parameters
    ----------
    own_mean, reference_mean : array, shape (n_visits,)
        Expected courses, at the person's baseline, in the own and in the reference arm.
    own_sigma, reference_sigma : array, shape (n_visits, n_visits)
        Covariances of both arms.
    n_before : int
        Visits before the person dropped out; 0 for nobody seen after baseline.
    strategy : str
        ``"jump to reference"``: means of the own arm before, of the reference after;
        ``"copy reference"``: means of the reference throughout; ``"copy increments"``: after the
        last visit the reference's increments; ``"mar"``: the own arm throughout.

    Returns
    -------
    mean : array, shape (n_visits,)
    sigma : array, shape (n_visits, n_visits)

    References
    ----------
    Carpenter, Roger & Kenward (2013) J Biopharm Stat 23:1352, section 4.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"strategy: got {strategy!r}; allowed are {', '.join(STRATEGIES)}")
    t, n = n_before, len(own_mean)
    if strategy == "mar":
        return own_mean, own_sigma
    if strategy == "copy reference":
        return reference_mean, reference_sigma
    mean = np.concatenate([own_mean[:t], reference_mean[t:]])
    if strategy == "copy increments" and t > 0:
        mean[t:] = own_mean[t - 1] + reference_mean[t:] - reference_mean[t - 1]
    if t in (0, n):
        return mean, (reference_sigma if t == 0 else own_sigma)
    # Before dropping out the own arm's covariance, after it the reference's regression on before.
    r11, r21, r22 = reference_sigma[:t, :t], reference_sigma[t:, :t], reference_sigma[t:, t:]
    slope = np.linalg.solve(r11, r21.T).T
    s11 = own_sigma[:t, :t]
    s21 = slope @ s11
    s22 = r22 - slope @ (r11 - s11) @ slope.T
    return mean, np.block([[s11, s21.T], [s21, s22]])


def conditional_normal(
    mean: Array, sigma: Array, observed: NDArray[np.bool_], values: Array
) -> tuple[Array, Array]:
    """Return mean and covariance of the unobserved visits, given the observed ones.

    Parameters
    ----------
    mean : array, shape (n_visits,)
    sigma : array, shape (n_visits, n_visits)
    observed : array of bool, shape (n_visits,)
    values : array, shape (n_visits,)
        NaN where unobserved.
    """
    missing = ~observed
    if not observed.any():
        return mean[missing], sigma[np.ix_(missing, missing)]
    slope = np.linalg.solve(sigma[np.ix_(observed, observed)], sigma[np.ix_(observed, missing)]).T
    expected = mean[missing] + slope @ (values[observed] - mean[observed])
    left = sigma[np.ix_(missing, missing)] - slope @ sigma[np.ix_(observed, missing)]
    return expected, left


def impute_reference_based(
    values: Array,
    *,
    baseline: Array,
    arm: Sequence[str] | NDArray[np.object_],
    arms: Sequence[str],
    design: str,
    strategy: Strategy,
    n_imputations: int = 100,
    n_bootstraps: int = 200,
    rng: np.random.Generator,
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Compare arms at the last visit after reference-based imputation of who dropped out.

    Gaps before a person's last score are imputed as missing at random in the own arm. Each imputed
    data set is analysed by least squares: last score on arm and baseline.

    Parameters
    ----------
    values : array, shape (n_people, n_visits)
        Scores after baseline, NaN where missing.
    baseline : array, shape (n_people,)
        Without missing values.
    arm : sequence of str, shape (n_people,)
        Arm of each person.
    arms : sequence of str
        Arms in order, two or more; the first is the reference.
    design : str
        Kind of trial. Only "parallel" has another arm whose course a dropout could have gone on
        with: in a crossover everybody is their own reference, before and after there is none.
    strategy : str
        As for :func:`joint_distribution`.
    n_imputations : int
        Bayesian draws of means and covariances, by data augmentation within each arm under
        Jeffreys' prior, each giving one imputed data set.
    n_bootstraps : int
        Bootstrap samples (within arms) of the imputation by conditional means; 0 for none.
    rng : Generator
        Source of all randomness.
    ci_level : float
        Of the intervals.

    Returns
    -------
    DataFrame
        For each other arm a row "b - a", ``df_method`` "barnard-rubin", pooled by Rubin's rules:
        information-anchored, which for these strategies is wider than the spread of the estimate
        over repeated trials. Then, with bootstraps, a row "b - a" with ``df_method`` "bootstrap":
        imputation by conditional means at maximum likelihood, its spread over bootstrap samples.
        ``n_imputed`` counts people with an imputed last score, ``fraction_missing`` is Rubin's
        fraction of missing information.

    Raises
    ------
    InputError
        If shapes differ or the baseline has a missing value.
    ModelError
        If the design is not parallel, there is one arm only, or an arm has too few people for a
        covariance of its own.

    References
    ----------
    Carpenter, Roger & Kenward (2013); Cro et al. (2019) J R Stat Soc A 182:623 (information
    anchoring); Barnard & Rubin (1999) Biometrika 86:948; Wolbers et al. (2022) Pharm Stat 21:1246
    (bootstrap of conditional means).
    """
    check_level(ci_level)
    _check_parallel(design, arms)
    y, b, own = _checked(values, baseline, arm, arms)
    estimates: list[Array] = []
    variances: list[Array] = []
    chains = {name: Chain(y[own == k], b[own == k]) for k, name in enumerate(arms)}
    for chain in chains.values():
        chain.run(_BURN_IN, rng)
    for _ in range(n_imputations):
        for chain in chains.values():
            chain.run(_BETWEEN, rng)
        models = [chains[name].model for name in arms]
        filled = _impute(y, b, own, models, strategy, rng=rng)
        estimate, variance = _compare(filled[:, -1], b, own, len(arms))
        estimates.append(estimate)
        variances.append(variance)
    n_imputed = int(np.isnan(y[:, -1]).sum())
    df_complete = len(y) - len(arms) - 1
    rows = []
    boot = _bootstrap(y, b, own, len(arms), strategy, n_bootstraps, rng)
    for k in range(1, len(arms)):
        q, u = np.array([e[k - 1] for e in estimates]), np.array([v[k - 1] for v in variances])
        pooled = pool_rubin(q, u, df_complete=df_complete, ci_level=ci_level)
        name = f"{arms[k]} - {arms[0]}"
        rows.append(
            estimate_row(
                name,
                kind="difference",
                estimate=pooled.estimate,
                se=pooled.se,
                statistic=pooled.estimate / pooled.se,
                statistic_name="t",
                df=pooled.df,
                df_method="barnard-rubin",
                p=float(2 * stats.t.sf(abs(pooled.estimate / pooled.se), pooled.df)),
                ci=pooled.ci,
                ci_level=ci_level,
                n_subjects=len(y),
                flags=[f"{n_imputed} people with an imputed last score", "information-anchored"],
                n_imputed=n_imputed,
                fraction_missing=pooled.fraction_missing,
            )
        )
        if boot is None:
            continue
        point, draws = boot
        se = float(draws[:, k - 1].std(ddof=1))
        z = float(stats.norm.ppf((1 + ci_level) / 2))
        at = float(point[k - 1])
        rows.append(
            estimate_row(
                name,
                kind="difference",
                estimate=at,
                se=se,
                statistic=at / se,
                statistic_name="z",
                df_method="bootstrap",
                p=float(2 * stats.norm.sf(abs(at / se))),
                ci=(at - z * se, at + z * se),
                ci_level=ci_level,
                n_subjects=len(y),
                flags=[f"conditional means, {len(draws)} bootstrap samples"],
                n_imputed=n_imputed,
                fraction_missing=np.nan,
            )
        )
    return stack(rows)


def _check_parallel(design: str, arms: Sequence[str]) -> None:
    if design != "parallel":
        raise ModelError(
            f"reference-based imputation is defined for parallel arms; the design is {design!r}: use "
            "a mixed model, which takes missing scores as missing at random"
        )
    if len(arms) < 2:
        raise ModelError(
            f"reference-based imputation needs a reference arm and another; arms are {list(arms)}"
        )


def _checked(
    values: Array, baseline: Array, arm: Sequence[str] | NDArray[np.object_], arms: Sequence[str]
) -> tuple[Array, Array, NDArray[np.int64]]:
    y, b = np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if y.ndim != 2 or len(y) != len(b) or len(arm) != len(b):
        raise InputError(
            f"values {y.shape}, baseline {b.shape} and arm ({len(arm)},) must speak of one people"
        )
    if not np.isfinite(b).all():
        raise InputError("baseline: every person needs one; leave out those without")
    place = {name: k for k, name in enumerate(arms)}
    foreign = sorted({str(one) for one in arm} - set(place))
    if foreign:
        raise InputError(f"arm: got {foreign[0]!r}; the arms are {', '.join(map(repr, arms))}")
    own = np.array([place[str(one)] for one in arm], dtype=np.int64)
    least = y.shape[1] + 3
    for name, k in place.items():
        n = int((own == k).sum())
        seen = np.isfinite(y[own == k]).sum(axis=0)
        if n < least or (seen < 3).any():
            raise ModelError(
                f"arm {name!r} has {n} people, and {int(seen.min()) if n else 0} at the visit with "
                f"fewest; a covariance of {y.shape[1]} visits of its own needs {least} people and 3 at "
                "each visit: name fewer visits"
            )
    return y, b, own


def _impute(
    y: Array,
    b: Array,
    own: NDArray[np.int64],
    models: Sequence[ArmModel],
    strategy: Strategy,
    *,
    rng: np.random.Generator | None,
) -> Array:
    """Fill every gap; with `rng` by draws, without by conditional means."""
    filled = y.copy()
    means = [model.means(b) for model in models]
    for i in np.flatnonzero(np.isnan(y).any(axis=1)):
        k, observed = int(own[i]), np.isfinite(y[i])
        last = int(np.flatnonzero(observed)[-1]) + 1 if observed.any() else 0
        own_mean, own_sigma = means[k][i], models[k].sigma
        values = y[i].copy()
        if not observed[:last].all():
            # Gaps before the last score: missing at random, in the own arm.
            expected, left = conditional_normal(
                own_mean[:last], own_sigma[:last, :last], observed[:last], values[:last]
            )
            values[:last][~observed[:last]] = _draw(expected, left, rng)
        if last < y.shape[1]:
            mean, sigma = joint_distribution(
                own_mean,
                own_sigma,
                means[0][i],
                models[0].sigma,
                n_before=last,
                strategy=strategy,
            )
            before = np.arange(y.shape[1]) < last
            expected, left = conditional_normal(mean, sigma, before, values)
            values[last:] = _draw(expected, left, rng)
        filled[i] = values
    return filled


def _draw(expected: Array, left: Array, rng: np.random.Generator | None) -> Array:
    if rng is None:
        return expected
    noise = np.linalg.cholesky((left + left.T) / 2) @ rng.standard_normal(len(expected))
    return np.asarray(expected + noise)


def _compare(last: Array, b: Array, own: NDArray[np.int64], n_arms: int) -> tuple[Array, Array]:
    """Regress the last score on arm and baseline; return differences and their variances."""
    columns = [np.ones(len(b)), b, *((own == k).astype(float) for k in range(1, n_arms))]
    x = np.column_stack(columns)
    inverse = np.linalg.inv(x.T @ x)
    beta = np.asarray(inverse @ x.T @ last, dtype=np.float64)
    residual = last - x @ beta
    variance = float(residual @ residual) / (len(b) - x.shape[1])
    spread: Array = np.asarray(variance * np.diag(inverse)[2:], dtype=np.float64)
    differences: Array = beta[2:]
    return differences, spread


def _bootstrap(
    y: Array,
    b: Array,
    own: NDArray[np.int64],
    n_arms: int,
    strategy: Strategy,
    n_bootstraps: int,
    rng: np.random.Generator,
) -> tuple[Array, Array] | None:
    if n_bootstraps < 2:
        return None

    def estimate(chosen: NDArray[np.int64]) -> Array:
        part, base, who = y[chosen], b[chosen], own[chosen]
        models = [maximum_likelihood(part[who == k], base[who == k]) for k in range(n_arms)]
        filled = _impute(part, base, who, models, strategy, rng=None)
        return _compare(filled[:, -1], base, who, n_arms)[0]

    everybody = np.arange(len(y))
    draws = []
    for _ in range(n_bootstraps):
        sample = np.concatenate(
            [rng.choice(everybody[own == k], int((own == k).sum())) for k in range(n_arms)]
        )
        if any(
            (np.isfinite(y[sample[own[sample] == k]]).sum(axis=0) < 2).any() for k in range(n_arms)
        ):
            continue  # a sample in which nobody of an arm is left at a visit says nothing
        draws.append(estimate(sample))
    return estimate(everybody), np.asarray(draws, dtype=np.float64)
