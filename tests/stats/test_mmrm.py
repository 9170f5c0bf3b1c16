"""Models of repeated visits against nlme (mmrm.R), SAS PROC MIXED and R's mmrm 0.3 (fev_data)."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import ModelError
from connectrial.stats.covariance import GroupedCovariance, VisitCovariance
from connectrial.stats.grammar import STRUCTURES
from connectrial.stats.kenward_roger import KenwardRogerDf
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm

FORMULA = "y ~ arm * visit + age + {}(visit | subject)"

# SAS 9.4 PROC MIXED on fev_data, logs in design/SAS of R's mmrm 0.3.18: -2 (res) log likelihood of
# an intercept alone: one covariance by REML, one for each arm by REML, one by ML
SAS_DEVIANCE = {
    "us": (3700.94648570, None, None),
    "cs": (3917.98183508, 3915.41985780, 3918.12214544),
    "csh": (3784.85341599, 3764.55218946, 3784.63158043),
    "ar1": (3875.49945459, 3872.65212395, 3875.95352406),
    "ar1h": (3739.96835012, 3724.36099760, 3739.94416707),
    "toep": (3856.68995273, None, None),
    "toeph": (3722.38018329, 3704.49921127, 3722.29178558),
    "adh": (3713.49317786, 3688.84024388, 3713.24501787),
}
# the same source, design/ddfm_covtype: FEV1 = ARMCD, ddfm=kr and kr(linear): estimate, SE of kr,
# SE of kr(linear), df of both; SAS stops where df still moves by 4e-4 of itself
SAS_KENWARD_ROGER = {
    "us": (3.81972492174648, 0.66124382270307, 0.66124382270307, 160.733266403768),
    "cs": (4.19663617897035, 0.7964696053595, 0.7964696053595, 177.038485931223),
    "csh": (3.77090812499029, 0.67414806011886, 0.67403858183242, 190.737701349941),
    "ar1": (4.22574315817874, 0.95865439662225, 0.96058142305176, 188.46934887972),
    "ar1h": (3.72674356244499, 0.7590316099633, 0.75924807546934, 188.225339095373),
    "toep": (4.47051860580552, 0.87839805519623, 0.87839805519623, 160.027408337368),
    "toeph": (3.92287746213894, 0.72543828853831, 0.72537324518435, 180.062730071701),
    "adh": (3.72344028834729, 0.66172017349971, 0.66158550758897, 162.393385281755),
}
# README of R's mmrm 0.3: FEV1 ~ RACE + SEX + ARMCD * AVISIT + us(AVISIT | USUBJID), Satterthwaite
MMRM = {
    "Intercept": (30.77748, 0.88656, 218.80),
    "RACE[Black or African American]": (1.53050, 0.62448, 168.67),
    "RACE[White]": (5.64357, 0.66561, 157.14),
    "SEX[Female]": (0.32606, 0.53195, 166.13),
    "ARMCD[TRT]": (3.77423, 1.07415, 145.55),
    "AVISIT[VIS2]": (4.83959, 0.80172, 143.88),
    "AVISIT[VIS3]": (10.34211, 0.82269, 155.56),
    "AVISIT[VIS4]": (15.05390, 1.31281, 138.47),
    "ARMCD[TRT]:AVISIT[VIS2]": (-0.04193, 1.12932, 138.56),
    "ARMCD[TRT]:AVISIT[VIS3]": (-0.69369, 1.18765, 158.17),
    "ARMCD[TRT]:AVISIT[VIS4]": (0.62423, 1.85085, 129.72),
}


@pytest.fixture(scope="module")
def data(reference):
    return pd.read_csv(reference / "mmrm_data.csv").assign(
        visit=lambda t: pd.Categorical(t["visit"], ["pre", "week1", "week2", "week6"]),
        arm=lambda t: pd.Categorical(t["arm"], ["placebo", "drug"]),
    )


@pytest.fixture(scope="module")
def fev(connectrial_data):
    return pd.read_csv(connectrial_data / "fev_data.csv").assign(
        SEX=lambda t: pd.Categorical(t["SEX"], ["Male", "Female"])
    )


@pytest.mark.parametrize("case", ["us", "us ml", "cs", "csh", "ar1", "ar1h"])
def test_estimates_are_those_of_gls(case, data, reference):
    oracle = pd.read_csv(reference / "mmrm.csv")
    oracle = oracle[oracle["case"] == case].set_index("term")
    structure, *ml = case.split()
    fit = fit_mmrm(FORMULA.format(structure), data, reml=not ml)
    deviance = oracle.loc["deviance", "estimate"]
    assert fit.deviance == pytest.approx(deviance, abs=1e-6)
    assert fit.deviance < deviance + 1e-8
    expected = oracle.drop(index="deviance")
    names = [
        re.sub(r"(visit|arm)(week\d|drug)", r"\1[\2]", name.replace("(Intercept)", "Intercept"))
        for name in expected.index
    ]
    ours = fit.estimates.loc[names]
    se = expected["se"].to_numpy()
    np.testing.assert_array_less(
        np.abs(ours["estimate"] - expected["estimate"].to_numpy()) / se, 1e-4
    )
    if not ml:  # gls widens the standard errors of ML
        np.testing.assert_allclose(ours["se"], se, rtol=1e-4)


EXPLICIT = {
    "toep": "toep(visit | subject)",
    "toeph": "toeph(visit | subject)",
    "ad": "ad(visit | subject)",
    "adh": "adh(visit | subject)",
    "adh ml": "adh(visit | subject)",
    "us by arm": "us(visit | arm / subject)",
    "ar1h by arm": "ar1h(visit | arm / subject)",
}


@pytest.mark.parametrize("case", EXPLICIT)
def test_estimates_are_those_of_a_likelihood_written_out(case, data, reference):
    """Structures that nlme lacks: base R's optim and nlm on the likelihood (mmrm_explicit.R)."""
    oracle = pd.read_csv(reference / "mmrm_explicit.csv")
    oracle = oracle[oracle["case"] == case].set_index("term")
    fit = fit_mmrm(f"y ~ arm * visit + age + {EXPLICIT[case]}", data, reml=not case.endswith("ml"))
    deviance = oracle.loc["deviance", "estimate"]
    assert fit.deviance == pytest.approx(deviance, abs=1e-8)
    assert fit.deviance < deviance + 1e-8
    expected = oracle.drop(index="deviance")
    names = [
        re.sub(r"(visit|arm)(week\d|drug)", r"\1[\2]", name.replace("(Intercept)", "Intercept"))
        for name in expected.index
    ]
    ours, se = fit.estimates.loc[names], expected["se"].to_numpy()
    apart = np.abs(ours["estimate"].to_numpy() - expected["estimate"].to_numpy()) / se
    np.testing.assert_array_less(apart, 1e-6)
    np.testing.assert_allclose(ours["se"], se, rtol=1e-6)


@pytest.mark.parametrize("structure", SAS_DEVIANCE)
def test_deviances_are_those_of_sas(structure, fev):
    together, by_arm, ml = SAS_DEVIANCE[structure]
    for formula, reml, expected in (
        (f"FEV1 ~ 1 + {structure}(AVISIT | USUBJID)", True, together),
        (f"FEV1 ~ 1 + {structure}(AVISIT | ARMCD / USUBJID)", True, by_arm),
        (f"FEV1 ~ 1 + {structure}(AVISIT | USUBJID)", False, ml),
    ):
        if expected is not None:
            found = fit_mmrm(formula, fev, reml=reml).deviance
            assert found == pytest.approx(expected, abs=2e-5)
            assert found < expected + 1e-7


@pytest.mark.parametrize("structure", SAS_KENWARD_ROGER)
def test_kenward_roger_is_that_of_sas(structure, fev):
    fit = fit_mmrm(f"FEV1 ~ ARMCD + {structure}(AVISIT | USUBJID)", fev)
    estimate, se, se_linear, df = SAS_KENWARD_ROGER[structure]
    full = fit.with_df("kenward-roger").estimates.loc["ARMCD[TRT]"]
    linear = fit.with_df("kenward-roger-linear").estimates.loc["ARMCD[TRT]"]
    assert full["estimate"] == pytest.approx(estimate, abs=2e-4 * se)
    assert full["se"] == pytest.approx(se, rel=1.3e-4)
    assert linear["se"] == pytest.approx(se_linear, rel=1.3e-4)
    # what second derivatives change is free of where SAS stopped
    assert full["se"] / linear["se"] == pytest.approx(se / se_linear, rel=1e-6)
    assert full["df"] == linear["df"] == pytest.approx(df, rel=5e-4)


def test_the_example_of_mmrm(fev):
    formula = "FEV1 ~ RACE + SEX + ARMCD * AVISIT + us(AVISIT | USUBJID)"
    fit = fit_mmrm(formula, fev)
    assert fit.deviance == pytest.approx(3386.4499, abs=1e-4)
    assert (fit.n_observations, fit.n_subjects) == (537, 197)
    assert list(fit.estimates.index) == list(MMRM)
    for name, (estimate, se, df) in MMRM.items():
        row = fit.estimates.loc[name]
        assert row["estimate"] == pytest.approx(estimate, abs=2e-4 * se)
        assert row["se"] == pytest.approx(se, rel=1e-4)
        assert row["df"] == pytest.approx(df, abs=0.015)
    # vignette 'Between-Within' of the same package: 192 between, 334 within
    between = fit.with_df("between-within").estimates["df"]
    within = [name for name in MMRM if "AVISIT" in name or name == "Intercept"]
    assert set(between[within]) == {334.0}
    assert set(between.drop(within)) == {192.0}
    assert set(fit.with_df("between-within").f_tests("II").loc["ARMCD:AVISIT", ["df"]]) == {334.0}
    assert "263 of 800 rows left out" in str(fit)
    assert "AIC 3406.4" in str(fit)
    assert "BIC 3439.2" in str(fit) or "BIC 3439.3" in str(fit)


def test_compound_symmetry_is_a_random_intercept(data):
    """Where its covariance is positive; all small-sample methods agree too."""
    one = fit_mmrm(FORMULA.format("cs"), data)
    two = fit_mixed("y ~ arm * visit + age + (1 | subject)", data)
    assert one.deviance == pytest.approx(two.deviance, abs=1e-8)
    for method in ("satterthwaite", "kenward-roger", "kenward-roger-expected", "between-within"):
        for column in ("estimate", "se", "df"):
            np.testing.assert_allclose(
                one.with_df(method).estimates[column],
                two.with_df(method).estimates[column],
                rtol=1e-6,
                atol=1e-9,
            )
        np.testing.assert_allclose(
            one.with_df(method).f_tests("III")["statistic"],
            two.with_df(method).f_tests("III")["statistic"],
            rtol=1e-6,
        )


def test_compound_symmetry_may_be_negative(data):
    rng = np.random.default_rng(1)
    noise = pd.Series(rng.normal(size=len(data)), index=data.index)
    apart = noise - 0.9 * noise.groupby(data["subject"]).transform("mean")
    fit = fit_mmrm("y ~ visit + cs(visit | subject)", data.assign(y=apart))
    assert fit.variance.loc["pre x week1", "estimate"] < 0
    assert fit.deviance < fit_mixed("y ~ visit + (1 | subject)", data.assign(y=apart)).deviance


@pytest.mark.parametrize("structure", STRUCTURES)
def test_derivatives_are_those_of_differences(structure):
    """Central differences, step 1e-6."""
    rng = np.random.default_rng(0)
    model = GroupedCovariance(VisitCovariance(structure, 4), 2)
    stacks = [(np.array([0, 1, 1]), np.array([[0, 1, 3], [1, 2, 3], [0, 1, 2]]))]
    points = model.starts()[:1] + 0.1 * rng.normal(size=(3, model.n_parameters))
    natural = model.natural(points)
    here = model.covariances(natural, stacks)[0]
    slope = rng.normal(size=natural.shape)
    jacobian, curvature = model.chain(points, slope)
    for k, step in enumerate(1e-6 * np.eye(model.n_parameters)):
        up, down = (model.covariances(natural + s * step, stacks)[0] for s in (1, -1))
        np.testing.assert_allclose(
            here.first[:, k] + 0 * here.value, (up.value - down.value) / 2e-6, atol=1e-8
        )
        if here.second is not None:
            np.testing.assert_allclose(here.second[:, k], (up.first - down.first) / 2e-6, atol=1e-8)
        moved = (model.natural(points + step) - model.natural(points - step)) / 2e-6
        np.testing.assert_allclose(jacobian[:, :, k], moved, atol=1e-8)
        ends = [model.chain(points + s * step, slope)[0] for s in (1, -1)]
        np.testing.assert_allclose(
            curvature[:, k], np.einsum("ek,ekj->ej", slope, (ends[0] - ends[1]) / 2e-6), atol=1e-7
        )


@pytest.mark.parametrize("structure", STRUCTURES)
def test_laws(structure, data):
    """Row order, names and units of the outcome change nothing that they should not."""
    one = fit_mmrm(FORMULA.format(structure), data).with_df("kenward-roger").estimates
    other = data.sample(frac=1, random_state=1).assign(
        y=lambda t: 1e4 + 50 * t["y"], subject=lambda t: "p" + t["subject"].str[::-1]
    )
    two = fit_mmrm(FORMULA.format(structure), other).with_df("kenward-roger").estimates
    np.testing.assert_allclose(two["se"], 50 * one["se"], rtol=1e-6)
    np.testing.assert_allclose(two["df"], one["df"], rtol=1e-5)
    np.testing.assert_allclose(two["estimate"].iloc[1:], 50 * one["estimate"].iloc[1:], rtol=1e-5)


def test_a_visit_without_rows_is_named(data):
    more = data["visit"].cat.add_categories("week9")
    fit = fit_mmrm("y ~ arm + ar1(visit | subject)", data.assign(visit=more))
    assert "week9" in fit.notes[0]
    assert "week9" in str(fit)
    assert len(fit.variance) == 10


def test_grouped_covariance_is_listed_by_arm(data):
    fit = fit_mmrm("y ~ arm * visit + csh(visit | arm / subject)", data)
    assert list(fit.variance["group"].unique()) == ["placebo", "drug"]
    assert fit.variance.loc["drug pre", "estimate"] != fit.variance.loc["placebo pre", "estimate"]


@pytest.mark.parametrize(
    ("change", "formula", "said"),
    [
        ({"visit": "pre"}, "y ~ age + us(visit | subject)", "more than one row"),
        ({"subject": "s01"}, "y ~ age + cs(visit | subject)", "more than one row"),
        ({}, "y ~ arm + us(visit | visit / subject)", "changes within subjects"),
        ({}, "y ~ arm + (1 | subject)", "exactly one residual covariance"),
        ({}, "y ~ arm + (1 | subject) + us(visit | subject)", "no random"),
        ({}, "y ~ arm + un(visit | subject)", "cannot be read"),
        ({"y": 2.0}, "y ~ arm + us(visit | subject)", "constant"),
    ],
)
def test_bad_input_is_a_model_error(change, formula, said, data):
    with pytest.raises(ModelError, match=said):
        fit_mmrm(formula, data.assign(**change))


def test_visits_that_nobody_shares_are_refused(data):
    first = data["arm"] == "drug"
    apart = data[
        (first & data["visit"].isin(["pre", "week1"]))
        | (~first & data["visit"].isin(["pre", "week2"]))
    ]
    with pytest.raises(ModelError, match="'week1' and 'week2'"):
        fit_mmrm("y ~ visit + us(visit | subject)", apart)
    assert np.isfinite(fit_mmrm("y ~ visit + cs(visit | subject)", apart).deviance)


def test_a_single_visit_is_refused(data):
    with pytest.raises(ModelError, match="one level only, 'pre'"):
        fit_mmrm("y ~ arm + us(visit | subject)", data[data["visit"] == "pre"])


def test_a_negative_adjusted_variance_is_no_standard_error():
    test = KenwardRogerDf(
        name="kenward-roger",
        beta=np.ones(1),
        basis=np.eye(1),
        covariance=np.eye(1),
        adjusted=-np.eye(1),
        slopes=np.ones((1, 1, 1)),
        parameter_covariance=np.eye(1),
    )
    with pytest.raises(ModelError, match="simpler covariance"):
        test.test_row(np.ones(1))
