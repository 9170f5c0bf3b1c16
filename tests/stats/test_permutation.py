"""Permutation over edges against vegan 2.6-4, coin 1.4-2, scipy, brute force and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.components import component_sizes, enhance, largest_sizes
from connectrial.stats.design import build_design
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.exchange import find_exchange
from connectrial.stats.network_permutation import permute_networks
from connectrial.stats.permutation import permute_edges


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "permutation.csv")
    return lambda what: table.loc[table["what"] == what, "number"].to_numpy()


def one_edge(table, formula, **settings):
    settings = {"n_permutations": 10**6, "blocks": "subject", "rng": 0, **settings}
    return permute_edges(table[["y"]].to_numpy(), formula, table, **settings)


def test_every_exchange_within_people_equals_vegan(reference, oracle):
    table = pd.read_csv(reference / "permutation_within.csv")
    result = one_edge(table, "y ~ dose + motion", term="dose", visit="dose")
    assert (result.scheme, result.n_possible, result.exhaustive) == ("within", 6**4, True)
    assert result.statistic[0] ** 2 == pytest.approx(oracle("within")[0], rel=1e-10)
    null = oracle("within null")
    np.testing.assert_allclose(np.sort(result.null**2), null, rtol=2e-4, atol=1e-6)  # float32
    assert result.p[0] == (1 + (null >= oracle("within")[0] * (1 - 1e-9)).sum()) / 6**4


def test_every_exchange_of_whole_people_equals_vegan(reference, oracle):
    # vegan does all 5! 2! orders; 10 distinct ones of the arms would be too few, the ages tell
    # everybody apart, so all orders differ in the design
    table = pd.read_csv(reference / "permutation_whole.csv")
    result = one_edge(table, "y ~ arm + visit + age", term="arm", visit="visit")
    assert (result.scheme, result.n_possible, result.exhaustive) == ("whole", 240, True)
    assert result.statistic[0] ** 2 == pytest.approx(oracle("whole")[0], rel=1e-10)
    np.testing.assert_allclose(np.sort(result.null**2), oracle("whole null"), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("number", "scheme", "formula", "settings", "n_possible"),
    [
        (1, "within", "y ~ nuisance + tested", {"term": "tested", "visit": "tested"}, 6**4),
        (3, "signs", "y ~ 1", {"term": "Intercept", "blocks": None}, 2**9),
    ],
)
def test_family_wise_p_equals_palm(reference, number, scheme, formula, settings, n_possible):
    """PALM of commit 04095fe, every exchange done; it prints four decimals (permutation_palm.m)."""
    table = pd.read_csv(reference / "permutation_palm_data.csv")
    table = table[table["scheme"] == number].reset_index(drop=True)
    expected = pd.read_csv(reference / "permutation_palm.csv")
    expected = expected[expected["scheme"] == number]
    ends = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3]])
    call = {"n_permutations": 10**6, "blocks": "subject", "rng": 0, "edges": ends, **settings}
    result = permute_edges(table[[f"y{k}" for k in range(1, 6)]].to_numpy(), formula, table, **call)
    assert (result.scheme, result.n_possible, result.exhaustive) == (scheme, n_possible, True)
    np.testing.assert_allclose(result.statistic, expected["t"], atol=6e-5)
    np.testing.assert_allclose(result.p, expected["p_fwe"], atol=6e-5)


def test_two_groups_equal_coin_and_scipy(reference, oracle):
    table = pd.read_csv(reference / "permutation_groups.csv")
    result = one_edge(table, "y ~ arm", term="arm", blocks=None)
    assert (result.n_possible, result.scheme, result.n_permutations) == (462, "whole", 461)
    assert result.p[0] == pytest.approx(oracle("two groups")[0], abs=1e-12)
    a, b = (table.loc[table["arm"] == name, "y"] for name in "ab")
    assert result.statistic[0] == pytest.approx(stats.ttest_ind(b, a).statistic)
    greater = stats.permutation_test(
        (b, a), lambda x, y: x.mean() - y.mean(), alternative="greater"
    )
    one_sided = one_edge(table, "y ~ arm", term="arm", blocks=None, alternative="greater")
    assert one_sided.p[0] == pytest.approx(greater.pvalue, abs=1e-12)


def test_sign_flips_equal_scipy():
    change = np.random.default_rng(5).normal(0.6, 1, 9)
    table = pd.DataFrame({"y": change})
    result = one_edge(table, "y ~ 1", term="Intercept", blocks=None)
    assert (result.scheme, result.n_possible) == ("signs", 512)
    expected = stats.permutation_test((change,), np.mean, permutation_type="samples")
    assert result.p[0] == pytest.approx(expected.pvalue, abs=1e-12)
    assert result.statistic[0] == pytest.approx(stats.ttest_1samp(change, 0).statistic)


def test_pre_and_post_within_people_are_sign_flips_of_the_change():
    rng = np.random.default_rng(6)
    wide = rng.normal([0, 0.8], 1, size=(8, 2))
    table = pd.DataFrame(
        {"y": wide.ravel(), "subject": np.repeat(np.arange(8), 2), "time": np.tile(["a", "b"], 8)}
    )
    result = one_edge(table, "y ~ time", term="time")
    assert (result.scheme, result.n_possible) == ("within", 256)
    expected = stats.permutation_test(
        (wide[:, 1] - wide[:, 0],), np.mean, permutation_type="samples"
    )
    assert result.p[0] == pytest.approx(expected.pvalue, abs=1e-12)


@pytest.fixture(scope="module")
def trial():
    """Twelve people, up to three visits, 10 parcels: 45 edges."""
    rng = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "subject": np.repeat([f"{i:02d}" for i in range(12)], 3),
            "visit": np.tile(["pre", "mid", "post"], 12),
            "arm": np.repeat(["drug", "placebo"] * 6, 3),
            "age": np.repeat(rng.normal(40, 10, 12), 3),
        }
    ).drop([2, 10, 11, 20])
    values = (
        rng.normal(size=(len(table), 45))
        + rng.normal(size=(12, 45))[pd.factorize(table["subject"])[0]]
    )
    values[:, :6] += 1.5 * (table["visit"] == "post").to_numpy()[:, None]
    return values, table.reset_index(drop=True)


def fit_by_hand(values, x, z):
    """Freedman-Lane's refit, spelled out with lstsq."""
    full = np.column_stack([z, x])
    rss = np.sum((values - full @ np.linalg.lstsq(full, values, rcond=None)[0]) ** 2, axis=0)
    rss0 = np.sum((values - z @ np.linalg.lstsq(z, values, rcond=None)[0]) ** 2, axis=0)
    return ((rss0 - rss) / x.shape[1]) / (rss / (len(values) - full.shape[1]))


def test_largest_f_of_drawn_exchanges_equals_a_refit(trial):
    values, table = trial
    result = permute_edges(
        values, "fc ~ visit + age", table, term="visit", n_permutations=40, blocks="subject", rng=3
    )
    assert result.statistic_name == "F"
    assert result.seed == 3
    x = pd.get_dummies(table["visit"], dtype=float).to_numpy()[:, :2]
    z = np.column_stack([np.ones(len(table)), table["age"]])
    np.testing.assert_allclose(result.statistic, fit_by_hand(values, x, z), rtol=1e-9)
    # the same draws again, refitted one by one
    exchange = find_exchange(result.design, table, term="visit", blocks="subject")
    rows, _ = exchange.draw(np.random.default_rng(3), 40)
    person = pd.factorize(table["subject"])[0]
    assert (person[rows] == person).all()
    residual = values - z @ np.linalg.lstsq(z, values, rcond=None)[0]
    by_hand = []
    for order in rows:
        back = np.argsort(order)  # rows tell what comes where in the design; residuals move back
        by_hand.append(fit_by_hand(residual[back], x, z).max())
    np.testing.assert_allclose(result.null, by_hand, rtol=1e-4)


def test_whole_people_move_only_among_those_with_the_same_visits(trial):
    _, table = trial
    design = build_design("visit * arm + age", table)
    exchange = find_exchange(design, table, term="visit:arm", blocks="subject")
    assert exchange.scheme == "whole"
    rows, signs = exchange.draw(np.random.default_rng(0), 50)
    assert signs is None
    visit, person = table["visit"].to_numpy(), pd.factorize(table["subject"])[0]
    assert (visit[rows] == visit).all()
    assert exchange.n_still == 1  # one came to pre alone; two lack post together
    pattern = table.groupby("subject")["visit"].agg(lambda v: "+".join(sorted(v)))
    for order in rows:
        assert sorted(order) == list(range(len(table)))
        for k in range(12):
            source = np.unique(person[order[person == k]])
            assert source.size == 1
            assert pattern.iloc[source[0]] == pattern.iloc[k]


def test_laws(trial):
    values, table = trial
    call = {"term": "visit", "n_permutations": 60, "blocks": "subject", "rng": 11}
    result = permute_edges(values, "fc ~ visit", table, **call)
    again = permute_edges(values * 3 + 5, "fc ~ visit", table, **call)
    np.testing.assert_allclose(again.statistic, result.statistic, rtol=1e-9)
    np.testing.assert_array_equal(again.p, result.p)
    backwards = permute_edges(values[:, ::-1], "fc ~ visit", table, **call)
    np.testing.assert_array_equal(backwards.p[::-1], result.p)
    assert (result.p >= 1 / 61).all()
    order = np.argsort(-result.statistic)
    assert (np.diff(result.p[order]) >= 0).all()


def test_edges_that_cannot_be_tested_are_nan_and_counted(trial):
    values, table = trial
    holes = values.copy()
    holes[4, 3], holes[:, 9], holes[0, 11] = np.nan, 2.5, np.inf
    call = {"term": "visit", "n_permutations": 30, "blocks": "subject", "rng": 1}
    result = permute_edges(holes, "fc ~ visit", table, **call)
    assert np.flatnonzero(np.isnan(result.p)).tolist() == [3, 9, 11]
    assert result.n_untested == 3
    rest = np.delete(values, [3, 9, 11], axis=1)
    ends = np.delete(np.column_stack(np.triu_indices(10, 1)), [3, 9, 11], axis=0)
    np.testing.assert_array_equal(
        result.p[~np.isnan(result.p)],
        permute_edges(rest, "fc ~ visit", table, edges=ends, **call).p,
    )


def components_by_hand(statistic, edges, threshold):
    """Merge edges that share a parcel until nothing changes."""
    groups = [{i} for i in np.flatnonzero(statistic > threshold)]
    merged = True
    while merged:
        merged = False
        for a in range(len(groups)):
            for b in range(a + 1, len(groups)):
                if set(edges[list(groups[a])].ravel()) & set(edges[list(groups[b])].ravel()):
                    groups[a] |= groups.pop(b)
                    merged = True
                    break
            if merged:
                break
    return groups


@pytest.mark.parametrize("n_parcels", [4, 7, 12])
@pytest.mark.parametrize("seed", range(4))
def test_components_by_hand(n_parcels, seed):
    rng = np.random.default_rng(seed)
    edges = np.column_stack(np.triu_indices(n_parcels, 1))
    statistic = rng.normal(size=len(edges))
    groups = components_by_hand(statistic, edges, 0.9)
    extent, labels = component_sizes(statistic, edges, n_parcels, threshold=0.9, intensity=False)
    assert {frozenset(np.flatnonzero(labels == k)) for k in range(extent.size)} == set(
        map(frozenset, groups)
    )
    assert sorted(extent) == sorted(map(len, groups))
    intensity, _ = component_sizes(statistic, edges, n_parcels, threshold=0.9, intensity=True)
    expected = [sum(statistic[i] - 0.9 for i in g) for g in groups]
    np.testing.assert_allclose(np.sort(intensity), np.sort(expected))
    # several sets at once, one of them without any component
    sets = np.stack([statistic, np.zeros(len(edges)), rng.normal(size=len(edges))])
    for by_sum in (False, True):
        call = {"threshold": 0.9, "intensity": by_sum}
        alone = [component_sizes(one, edges, n_parcels, **call)[0].max(initial=0) for one in sets]
        np.testing.assert_allclose(largest_sizes(sets, edges, n_parcels, **call), alone)


@pytest.mark.parametrize(("e", "h"), [(0.4, 3.0), (1.0, 0.0), (0.75, 2.0)])
@pytest.mark.parametrize("n_parcels", [5, 9])
def test_threshold_free_score_is_the_integral(n_parcels, e, h):
    rng = np.random.default_rng(n_parcels)
    edges = np.column_stack(np.triu_indices(n_parcels, 1))
    edges = edges[rng.permutation(len(edges))[: len(edges) - 3]]
    statistic = rng.normal(0.3, 1, size=len(edges))
    scores, highest = enhance(statistic, edges, n_parcels, e=e, h=h)
    # by a midpoint sum over 600 thresholds
    steps = np.linspace(0, statistic.max(), 601)
    middle, width = (steps[1:] + steps[:-1]) / 2, steps[1]
    expected = np.zeros(len(edges))
    for t in middle:
        sizes, labels = component_sizes(statistic, edges, n_parcels, threshold=t, intensity=False)
        inside = labels >= 0
        expected[inside] += sizes[labels[inside]] ** e * t**h * width
    np.testing.assert_allclose(scores, expected, atol=1e-2 * expected.max())
    assert highest == pytest.approx(scores.max(), rel=1e-12)
    assert (scores[statistic <= 0] == 0).all()


def test_threshold_free_score_without_a_positive_edge():
    scores, highest = enhance(np.array([-1.0, np.nan]), np.array([[0, 1], [1, 2]]), 3, e=0.4, h=3)
    assert (scores.tolist(), highest) == ([0, 0], 0)


@pytest.mark.parametrize("statistic", ["nbs-extent", "nbs-intensity"])
def test_network_based_statistic(trial, statistic):
    values, table = trial
    result = permute_edges(
        values,
        "fc ~ visit",
        table,
        term="visit[pre]",
        statistic=statistic,
        threshold=1.5,
        n_permutations=80,
        blocks="subject",
        rng=2,
    )
    edges = np.column_stack(np.triu_indices(10, 1))
    groups = components_by_hand(np.abs(result.statistic), edges, 1.5)
    assert sorted(result.components["n_edges"]) == sorted(map(len, groups))
    assert result.components["size"].is_monotonic_decreasing
    for k, row in result.components.iterrows():
        members = np.flatnonzero(result.component_of_edge == k)
        assert len(members) == row["n_edges"]
        assert np.unique(edges[members]).size == row["n_parcels"]
        assert (result.p[members] == row["p"]).all()
        assert row["p"] == (1 + (result.null >= row["size"] * (1 - 1e-9)).sum()) / 81
    assert (result.p[result.component_of_edge == -1] == 1).all()


def test_threshold_free_p_counts_the_largest_scores(trial):
    values, table = trial
    result = permute_edges(
        values, "fc ~ visit", table, term="visit", statistic="tfnbs",
        n_permutations=50, blocks="subject", rng=2,
    )  # fmt: skip
    for edge in (0, 3, 30):
        reached = (result.null >= result.enhanced[edge] * (1 - 1e-9)).sum()
        assert result.p[edge] == (1 + reached) / 51


@pytest.mark.parametrize("term", ["visit", "visit:arm"])
def test_family_wise_error_is_held(term):
    # 40 null trials, correlation 0.5 within people, a fifth of visits missing, 39 exchanges:
    # any p <= 0.05 in 5 % of them, within three standard errors
    rng = np.random.default_rng(123)
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(16), 3),
            "visit": np.tile(["a", "b", "c"], 16),
            "arm": np.repeat(["x", "y"] * 8, 3),
        }
    )
    hits = 0
    for k in range(40):
        kept = table[rng.random(48) > 0.2].reset_index(drop=True)
        person = pd.factorize(kept["subject"])[0]
        values = rng.normal(size=(len(kept), 10)) + rng.normal(size=(16, 10))[person]
        result = permute_edges(
            values, "fc ~ visit * arm" if ":" in term else "fc ~ visit + arm", kept,
            term=term, n_permutations=39, blocks="subject", rng=k,
        )  # fmt: skip
        hits += result.p.min() <= 0.05
    assert hits / 40 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)


MIXED = {"formula": "fc ~ visit * arm + (1 | subject)", "term": "visit[pre]"}


def test_fixed_variance_ratio_is_generalised_least_squares(trial):
    values, table = trial
    result = call(trial, **MIXED, n_permutations=12, rng=4)
    x = result.design.matrix
    j = result.design.columns.index("visit[pre]")
    # the correlation is that of the model without the tested column
    frame = pd.DataFrame(np.delete(x, j, axis=1)[:, 1:], columns=list("abcd"))
    reduced = "fc ~ a + b + c + d + (1 | subject)"
    fits = fit_edges(values, reduced, frame.assign(subject=table["subject"]), df="none")
    icc = fits.variance[0] / fits.variance.sum(axis=0)
    rounded = np.round(icc / 0.02) * 0.02
    person = pd.factorize(table["subject"])[0]
    same = person[:, None] == person
    exchange = find_exchange(result.design, table, term="visit", blocks="subject")
    rows, _ = exchange.draw(np.random.default_rng(4), 12)

    def gls(y, design, ratio):
        inverse = np.linalg.inv(np.eye(len(y)) + ratio * same)
        covariance = np.linalg.inv(design.T @ inverse @ design)
        beta = covariance @ design.T @ inverse @ y
        left = y - design @ beta
        return beta, covariance * (left @ inverse @ left) / (len(y) - design.shape[1])

    null = np.zeros((12, 45))
    for edge in range(45):
        ratio = rounded[edge] / (1 - rounded[edge])
        beta, covariance = gls(values[:, edge], x, ratio)
        t = beta[j] / np.sqrt(covariance[j, j])
        assert result.statistic[edge] == pytest.approx(t, rel=1e-8)
        nuisance = np.delete(x, j, axis=1)
        gamma, _ = gls(values[:, edge], nuisance, ratio)
        left = values[:, edge] - nuisance @ gamma
        for k, order in enumerate(rows):
            beta, covariance = gls(left[np.argsort(order)], x, ratio)
            null[k, edge] = abs(beta[j]) / np.sqrt(covariance[j, j])
    np.testing.assert_allclose(result.null, null.max(axis=1), rtol=1e-4)


def test_refitted_variance_is_fit_edges_on_exchanged_residuals(trial):
    values, table = trial
    result = call(trial, **MIXED, n_permutations=5, rng=4, variance="refit")
    fits = fit_edges(values, MIXED["formula"], table, df="none")
    j = fits.terms.index("visit[pre]")
    np.testing.assert_allclose(result.statistic, fits.statistic[j], rtol=1e-9)
    exchange = find_exchange(result.design, table, term="visit", blocks="subject")
    rows, _ = exchange.draw(np.random.default_rng(4), 5)
    nuisance = np.delete(result.design.matrix, j, axis=1)
    left = values - nuisance @ np.linalg.lstsq(nuisance, values, rcond=None)[0]
    for order, largest in zip(rows, result.null, strict=True):
        again = fit_edges(left[np.argsort(order)], MIXED["formula"], table, df="none")
        assert largest == pytest.approx(np.abs(again.statistic[j]).max(), rel=1e-9)


def test_family_wise_error_of_a_mixed_model_is_held():
    # as above, with correlation 0.7 within people
    # a variance ratio from the model with the term would make it .17
    rng = np.random.default_rng(321)
    table = pd.DataFrame(
        {"subject": np.repeat(np.arange(10), 3), "visit": np.tile(["a", "b", "c"], 10)}
    )
    hits = 0
    for k in range(40):
        kept = table if k % 3 else table[rng.random(30) > 0.2].reset_index(drop=True)
        person = pd.factorize(kept["subject"])[0]
        values = rng.normal(size=(len(kept), 45)) + 1.5 * rng.normal(size=(10, 45))[person]
        result = permute_edges(
            values, "fc ~ visit + (1 | subject)", kept,
            term="visit", n_permutations=39, blocks="subject", rng=k,
        )  # fmt: skip
        hits += result.p.min() <= 0.05
    assert hits / 40 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)


def test_networks_by_hand(trial):
    values, table = trial
    ends = np.column_stack(np.triu_indices(10, 1))
    half = ends < 5
    labels = np.select([half.all(axis=1), ~half.any(axis=1)], ["low", "high"], "low-high").tolist()
    labels[7] = None
    settings = {"n_permutations": 30, "blocks": "subject", "rng": 8}
    result = permute_networks(
        values, "fc ~ visit", table, term="visit[pre]", labels=labels, **settings
    )
    x = pd.get_dummies(table["visit"], dtype=float)[["post", "pre"]].to_numpy()
    z = np.column_stack([np.ones(len(table)), x[:, 0]])
    design = build_design("visit", table.assign(visit=table["visit"]))
    exchange = find_exchange(design, table, term="visit", blocks="subject")
    rows, _ = exchange.draw(np.random.default_rng(8), 30)
    # levels in sorted order: mid is the reference, pre the tested column
    left = values - z @ np.linalg.lstsq(z, values, rcond=None)[0]
    full = np.column_stack([z, x[:, 1]])

    def t_of(y):
        beta, rss = np.linalg.lstsq(full, y, rcond=None)[:2]
        scale = np.sqrt(np.linalg.inv(full.T @ full)[2, 2] / (len(y) - 3))
        return beta[2] / (np.sqrt(rss) * scale)

    every = np.array([t_of(values), *(t_of(left[np.argsort(order)]) for order in rows)])
    names = list(result.estimates.index)
    means = np.column_stack(
        [every[:, [label == n for label in labels]].mean(axis=1) for n in names]
    )
    np.testing.assert_allclose(result.estimates["mean_statistic"], means[0], rtol=1e-8)
    scores = np.abs((means - means.mean(axis=0)) / means.std(axis=0))
    largest = scores[1:].max(axis=1)
    for k, name in enumerate(names):
        row = result.estimates.loc[name]
        assert abs(row["z"]) == pytest.approx(scores[0, k], rel=1e-4)
        assert row["p"] == (1 + (largest >= scores[0, k]).sum()) / 31
        assert row["p_single"] == (1 + (scores[1:, k] >= scores[0, k]).sum()) / 31
    assert result.estimates["n_edges"].sum() == 44


@pytest.mark.parametrize(
    ("labels", "says"),
    [(["a"] * 3, "got 3; give one for each of 45"), ([None] * 45, "no edge has one")],
)
def test_networks_refuse(trial, labels, says):
    values, table = trial
    with pytest.raises(InputError, match=says):
        permute_networks(
            values, "fc ~ visit", table,
            term="visit", labels=labels, n_permutations=9, blocks="subject", rng=0,
        )  # fmt: skip


def test_coded_and_named_levels_give_the_same(trial):
    values, table = trial
    two = table["visit"].isin(["pre", "post"]).to_numpy()
    table, values = table[two].reset_index(drop=True), values[two]
    code = {"visit": {"pre": 0, "post": 1}, "arm": {"placebo": 0, "drug": 1}}
    coded = call((values, table), formula="fc ~ visit * arm", term="visit:arm", coding=code)
    ordered = table.assign(
        visit=pd.Categorical(table["visit"], ["pre", "post"]),
        arm=pd.Categorical(table["arm"], ["placebo", "drug"]),
    )
    named = call((values, ordered), formula="fc ~ visit * arm", term="visit:arm")
    np.testing.assert_allclose(coded.statistic, named.statistic, rtol=1e-9)
    assert (coded.scheme, coded.n_possible) == (named.scheme, named.n_possible)


def test_a_transformed_variable_is_still_one_of_the_person(trial):
    result = call(trial, formula="fc ~ visit + log(age)", term="log(age)")
    assert result.scheme == "whole"


def test_periods_of_a_crossover_change_places_as_a_whole():
    # so that the test is the sign flip of each person's mean difference between treatments
    rng = np.random.default_rng(12)
    n = 9
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(n), 6),
            "treatment": np.tile(np.repeat(["ketamine", "placebo"], 3), n),
            "hour": np.tile(["h1", "h3", "h24"], 2 * n),
        }
    )
    gap = (table["treatment"] == "ketamine") * 0.5
    person, period = table["subject"].to_numpy(), np.arange(6 * n) // 3
    table["y"] = (
        gap + rng.normal(size=n)[person] + rng.normal(size=2 * n)[period] + rng.normal(size=6 * n)
    )
    result = one_edge(table, "y ~ treatment + hour", term="treatment", parts="treatment")
    assert (result.scheme, result.n_possible, result.exhaustive) == ("within", 2**n, True)
    means = table.groupby(["subject", "treatment"])["y"].mean().to_numpy().reshape(n, 2)
    expected = stats.permutation_test(
        (means[:, 0] - means[:, 1],), np.mean, permutation_type="samples"
    )
    assert result.p[0] == pytest.approx(expected.pvalue, abs=1e-12)
    # a period that lacks an hour matches no other, and its person stays
    one_short = one_edge(table.drop(4), "y ~ treatment + hour", term="treatment", parts="treatment")
    assert one_short.n_possible == 2 ** (n - 1)
    assert one_short.flags == ("1 people stay in place in every exchange (within)",)
    with pytest.raises(InputError, match="parts change places within"):
        one_edge(table.assign(sex=person % 2), "y ~ sex + hour", term="sex", parts="treatment")


def test_few_exchanges_are_flagged():
    table = pd.DataFrame({"arm": list("aab"), "y": [1.0, 2.0, 9.0]})
    result = one_edge(table, "y ~ arm", term="arm", blocks=None)
    assert result.n_possible == 3
    assert result.p[0] >= 1 / 3
    assert result.flags == (
        "only 3 exchanges are possible: no p below 0.333",
        "arm 'b' is a single subject",
    )


def call(trial, **changes):
    values, table = trial
    settings = {
        "values": values, "formula": "fc ~ visit + arm", "data": table, "term": "visit",
        "n_permutations": 9, "blocks": "subject", "rng": 0,
    }  # fmt: skip
    settings.update(changes)
    values, formula, data = (settings.pop(k) for k in ("values", "formula", "data"))
    return permute_edges(values, formula, data, **settings)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"values": np.zeros((3, 45))}, InputError, r"got shape \(3, 45\)"),
        ({"values": np.random.default_rng(0).normal(size=(32, 44))}, InputError, "upper triangle"),
        ({"edges": [[0, 1]]}, InputError, r"give \(45, 2\)"),
        ({"edges": np.zeros((45, 2), int)}, InputError, "two different"),
        ({"edges": np.tile([[0, 1]], (45, 1))}, InputError, "stands twice"),
        ({"statistic": "tfce"}, InputError, "allowed: max"),
        ({"statistic": "nbs-extent"}, InputError, "needs one"),
        ({"threshold": 3.0}, InputError, "takes none"),
        ({"statistic": "nbs-extent", "threshold": -1.0}, InputError, "above 0"),
        ({"alternative": "greater"}, InputError, "an F test has no sides"),
        ({"alternative": "both"}, InputError, "allowed: two-sided"),
        ({"term": "dose"}, ModelError, "the design has"),
        ({"blocks": "person"}, InputError, "no column 'person'"),
        ({"formula": "fc ~ visit + us(visit | subject)"}, ModelError, "rows of a person are exch"),
        ({"formula": "fc ~ visit + (1 | arm)"}, InputError, "a grouping of every random term"),
        ({"formula": "fc ~ visit + us(visit | arm)"}, InputError, "it must be 'arm'"),
        ({"variance": "free"}, InputError, "allowed: fixed, refit"),
        ({"formula": "fc ~ arm", "term": "arm"}, InputError, "name their column with visit="),
        ({"values": np.ones((32, 45))}, ModelError, "no edge is complete"),
        ({"n_permutations": 0}, InputError, "give at least 1"),
        ({"formula": "fc ~ arm + visit + copy"}, ModelError, "copy"),
    ],
)
def test_refuses(trial, changes, error, says):
    values, table = trial
    table = table.assign(copy=(table["arm"] == "drug") * 2.0)
    with pytest.raises(error, match=says):
        call((values, table), **changes)


def test_refuses_where_nothing_can_be_exchanged(trial):
    values, table = trial
    with pytest.raises(ModelError, match="no exchange"):
        call((values[:3], table[table["subject"] == "01"].iloc[:3]), formula="fc ~ age", term="age",
             values=np.random.default_rng(0).normal(size=(3, 45)), visit="visit",
             data=table[table["subject"] == "01"].iloc[:3])  # fmt: skip
