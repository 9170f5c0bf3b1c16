"""Measures of exposure, the spread between people, and the course of an effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.trial.compartments import MODELS, find_model
from connectrial.trial.exposure import (
    MEASURES,
    OCCUPANCY,
    assumed_occupancy,
    exposure_measure,
    exposure_summary,
    find_occupancy,
)
from connectrial.trial.pharmacokinetics import solve
from connectrial.trial.time_course import antidepressant_time_course, peak_day
from connectrial.trial.variability import (
    describe_variability,
    draw_factors,
    prediction_interval,
    simulate_people,
)

SHORT = pd.DataFrame({"start_h": [0.0], "duration_h": [40 / 60], "amount_mg_kg": [0.5]})
STEPS = pd.DataFrame(
    {"start_h": [0.0, 5.0, 6.0], "duration_h": [2.0, 0.0, 3.0], "amount_mg_kg": [0.5, 0.3, 0.1]}
)


@pytest.mark.parametrize("model", list(MODELS))
def test_measures_against_a_fine_grid(model):
    """Peak, area, average, hours above and occupancy against 400 001 points of the exact curve."""
    solution = solve(STEPS, model=find_model(model), weight_kg=70)
    times = np.linspace(0, 40, 400_001)
    for analyte in ("ketamine", "norketamine"):
        if not solution.has(analyte):
            continue
        curve = solution.concentration(times, analyte)
        expected = {
            "peak": curve.max(),
            "time of peak": times[curve.argmax()],
            "auc": np.trapezoid(curve[times <= 9], times[times <= 9]),
            "average": np.trapezoid(curve[times <= 9], times[times <= 9]) / 9,
            "hours above": (curve > 30).mean() * 40,
            "final": curve[times.searchsorted(9.0)],
        }
        for what, value in expected.items():
            found = exposure_measure(solution, what=what, analyte=analyte, above_ng_ml=30)
            assert found == pytest.approx(value, rel=1e-3), what
        block = assumed_occupancy(curve, ic50_ng_ml=400, hill=1)
        found = exposure_measure(
            solution, what="average occupancy", analyte=analyte, window_h=(0, 40)
        )
        assert found == pytest.approx(np.trapezoid(block, times) / 40, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(MODELS)), st.floats(0.01, 30), st.floats(0.01, 30))
def test_the_area_in_closed_form_is_the_integral(model, first, length):
    """The area between two times by Gauss-Legendre quadrature, to 1e-6."""
    solution = solve(SHORT, model=find_model(model), weight_kg=70)
    start, end = first, first + length
    edges = np.unique([start, end, *np.clip([2 / 3], start, end), *np.linspace(start, end, 200)])
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges) / 2
    at = (edges[:-1] + half)[:, None] + half[:, None] * nodes
    curve = solution.concentration(at.ravel()).reshape(at.shape)
    found = np.diff(solution.auc(np.array([start, end])))[0]
    assert found == pytest.approx(float(half @ (curve @ weights)), rel=1e-6, abs=1e-9)


def test_the_summary_of_the_short_infusion():
    table = exposure_summary(SHORT, model="otto2021", weight_kg=70, above_ng_ml=100)
    own = table.loc[table["analyte"] == "ketamine"].set_index("measure")["value"]
    assert round(own["peak"]) == 158
    assert own["time of peak"] == pytest.approx(40 / 60)
    assert own["auc to infinity"] == pytest.approx(1000 * 35 / 95.2)
    assert own["average"] == pytest.approx(own["auc"] / (40 / 60))
    # Rises through 100 within the infusion and falls through it again within the first hour.
    assert 0.5 < own["hours above 100 ng/ml"] < 0.9
    assert set(table["analyte"]) == {"ketamine", "norketamine"}
    alone = exposure_summary(SHORT, model="kamp2020", weight_kg=70)
    assert set(alone["analyte"]) == {"ketamine"}


def test_a_bolus_alone_has_no_average_without_a_window():
    solution = solve(
        pd.DataFrame({"start_h": [1.0], "duration_h": [0.0], "amount_mg_kg": [0.5]}),
        model=find_model("otto2021"),
        weight_kg=70,
    )
    assert np.isnan(exposure_measure(solution, what="average"))
    assert exposure_measure(solution, what="average", window_h=(0, 24)) > 0
    assert exposure_measure(solution, what="peak") == pytest.approx(35 / 133 * 1000)
    assert exposure_measure(solution, what="time of peak") == 1.0
    assert exposure_measure(solution, what="hours above", above_ng_ml=1000) == 0.0


@pytest.mark.parametrize(
    ("key", "at_156", "at_424"),
    [("siegel2021", 28, 51), ("human-nmdar", 48, 68), ("network-model", 17, 46)],
)
def test_assumed_occupancies(key, at_156, at_424):
    """Percent at the two mean concentrations of Lenze et al 2016, by hand for each assumption."""
    one = OCCUPANCY[key]
    found = assumed_occupancy([156.0, 424.0], ic50_ng_ml=one.ic50_ng_ml, hill=one.hill)
    assert (100 * found).round().tolist() == [at_156, at_424]


@given(st.floats(0, 1e5), st.floats(1, 1e4), st.floats(0.2, 4))
def test_occupancy_is_half_at_its_ic50_and_rises(concentration, ic50, hill):
    low, high = assumed_occupancy([concentration, concentration * 1.1], ic50_ng_ml=ic50, hill=hill)
    assert 0 <= low <= high <= 1
    assert assumed_occupancy(ic50, ic50_ng_ml=ic50, hill=hill) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"what": "maximum"}, "'maximum' is no measure"),
        ({"what": "hours above"}, "above_ng_ml: a level above 0 is needed"),
        ({"what": "at visit"}, "at_h: is needed"),
        ({"what": "average", "window_h": (4, 2)}, "window_h: needs 0 <= start < end; got 4 to 2"),
        ({"what": "average occupancy", "occupancy": "siegel"}, "did you mean 'siegel2021'?"),
    ],
)
def test_wrong_measures(call, said):
    solution = solve(SHORT, model=find_model("otto2021"), weight_kg=70)
    with pytest.raises(InputError) as caught:
        exposure_measure(solution, **call)
    assert said in str(caught.value)


def test_an_assumption_of_ones_own():
    """By hand: 100 / (100 + 300) = 1/4; 0.71 uM of 237.73 g/mol is the shipped IC50."""
    one = find_occupancy("ic50=300, hill=1")
    assert assumed_occupancy(100.0, ic50_ng_ml=one.ic50_ng_ml, hill=one.hill) == pytest.approx(0.25)
    molar = find_occupancy("ic50_um=0.71, hill=0.84")
    assert molar.ic50_ng_ml == pytest.approx(OCCUPANCY["human-nmdar"].ic50_ng_ml)
    assert find_occupancy("ic50=300").hill == 1.0
    for wrong, said in (("ic50=0", "must be above 0"), ("ic50=x", "numbers of your own")):
        with pytest.raises(InputError, match=said):
            find_occupancy(wrong)


def test_wrong_assumptions():
    with pytest.raises(InputError, match="must be above 0"):
        assumed_occupancy([100.0], ic50_ng_ml=0)
    with pytest.raises(InputError, match="negative"):
        assumed_occupancy([-1.0])
    assert "time of peak" in MEASURES


def test_draws_have_the_models_variances():
    """100 000 draws: log-scale covariances of Otto 2021's Table 3 within 3 %; medians 1."""
    drawn = np.log(
        pd.DataFrame(
            draw_factors(
                find_model("otto2021"), n_people=100_000, seed=3, clearance_cv_percent="model"
            )
        )
    )
    covariance = drawn.cov()
    assert covariance.loc["V1", "V1"] == pytest.approx(0.0842, rel=0.03)
    assert covariance.loc["CL", "CL"] == pytest.approx(0.0260, rel=0.03)
    assert covariance.loc["V1", "CL"] == pytest.approx(0.0226, rel=0.03)
    assert covariance.loc["CLN", "CLN"] == pytest.approx(0.1032, rel=0.03)
    assert abs(covariance.loc["CL", "CLN"]) < 0.002
    assert drawn.median().abs().max() < 0.01


def test_a_wider_clearance_keeps_the_correlation():
    drawn = pd.DataFrame(draw_factors(find_model("otto2021"), n_people=100_000, seed=3))
    spread = drawn["CL"].std() / drawn["CL"].mean()
    assert spread == pytest.approx(0.30, rel=0.03)
    logs = np.log(drawn)
    expected = 0.02261 / np.sqrt(0.084177 * 0.026048)
    assert logs["V1"].corr(logs["CL"]) == pytest.approx(expected, abs=0.01)
    assert logs["V1"].var() == pytest.approx(0.084177, rel=0.03)


def test_people_are_drawn_again_by_their_seed():
    call = {"model": "otto2021", "weight_kg": 70, "times_h": [0.5, 1.0], "n_people": 20}
    first = simulate_people(SHORT, seed=1, **call)
    pd.testing.assert_frame_equal(first, simulate_people(SHORT, seed=1, **call))
    assert (
        first["ketamine_ng_ml"] != simulate_people(SHORT, seed=2, **call)["ketamine_ng_ml"]
    ).all()
    interval = prediction_interval(first, level=0.8)
    at = interval.loc[(interval["time_h"] == 0.5) & (interval["analyte"] == "ketamine")].iloc[0]
    own = first.loc[first["time_h"] == 0.5, "ketamine_ng_ml"]
    assert at["low_ng_ml"] == pytest.approx(np.quantile(own, 0.1))
    assert at["high_ng_ml"] == pytest.approx(np.quantile(own, 0.9))
    assert at["n_people"] == 20


def test_what_the_spread_is_said_to_be():
    assert "30 % (a stand-in" in describe_variability(find_model("otto2021"))
    assert describe_variability(find_model("otto2021"), "model").startswith("the model's own")
    assert describe_variability(find_model("perez-ruixo2021")).startswith("the model's own")
    assert "no variances" in describe_variability(find_model("kamp2020"), 20.0)
    for model, cv, said in (
        ("kamp2020", "model", "has no variances between people"),
        ("perez-ruixo2021", 30.0, "has no single clearance"),
        ("otto2021", 500.0, "allowed are 'model' and 0 to 200"),
    ):
        with pytest.raises(InputError, match=said):
            describe_variability(find_model(model), cv)
    with pytest.raises(InputError, match="n_people: is 0"):
        simulate_people(SHORT, model="otto2021", weight_kg=70, times_h=[1], n_people=0, seed=1)
    with pytest.raises(InputError, match="level"):
        prediction_interval(pd.DataFrame(), level=1.0)


@given(st.floats(-20, 20), st.floats(0.05, 5), st.floats(1.01, 20))
def test_the_effect_peaks_where_and_as_high_as_said(peak, onset, ratio):
    """N = (b/a)^(b/(a-b)) - (b/a)^(a/(a-b)) makes the highest value `peak`, at ab/(a-b) ln(a/b)."""
    a, b = onset * ratio, onset
    top = peak_day(offset_days=a, onset_days=b)
    days = np.linspace(0, 5 * top, 2001)
    course = antidepressant_time_course(days, peak=peak, offset_days=a, onset_days=b)
    norm = (b / a) ** (b / (a - b)) - (b / a) ** (a / (a - b))
    formula = peak * (np.exp(-days / a) - np.exp(-days / b)) / norm
    np.testing.assert_allclose(course, formula, rtol=1e-6, atol=1e-9)
    assert np.abs(course).max() <= abs(peak) * (1 + 1e-9)
    assert antidepressant_time_course(top, peak=peak, offset_days=a, onset_days=b) == pytest.approx(
        peak
    )


def test_no_effect_before_the_treatment_and_wrong_constants():
    assert antidepressant_time_course([-1.0, 0.0], peak=-10).tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="0 < onset_days < offset_days"):
        antidepressant_time_course([1.0], peak=-10, offset_days=1.0, onset_days=2.0)
