"""Concentrations: an integrator, the published numbers, and the laws of linear systems."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from connectrial.errors import InputError
from connectrial.trial.compartments import MODELS, find_model
from connectrial.trial.pharmacokinetics import simulate_concentration, solve
from connectrial.trial.regimens import check_regimen, describe_dose, regimens_of_people

SHORT = pd.DataFrame({"start_h": [0.0], "duration_h": [40 / 60], "amount_mg_kg": [0.5]})
TITRATION = pd.DataFrame(
    {
        "start_h": [0.0, 12, 24, 36],
        "duration_h": [12.0, 12, 12, 60],
        "rate_mg_kg_h": [0.15, 0.30, 0.45, 0.60],
    }
)
MIXED = pd.DataFrame(
    {
        "start_h": [0.0, 0.5, 3.0, 3.0],
        "duration_h": [1.0, 2.0, 0.0, 0.25],
        "amount_mg_kg": [0.3, np.nan, 0.2, 0.1],
        "rate_mg_kg_h": [np.nan, 0.2, np.nan, np.nan],
    }
)


def integrated(model: str, weight_kg: float, times: np.ndarray) -> pd.DataFrame:
    """Integrate MIXED stretch by stretch from the flows written out, not from the matrix."""
    one = find_model(model)
    values = one.values(weight_kg)
    place = {name: i for i, name in enumerate(one.compartments)}

    def slope(_t, x, rate):
        change = np.zeros(len(x))
        change[0] += rate
        for flow in one.flows:
            ends = [(flow.source, flow.target)]
            if flow.both_ways:
                ends.append((flow.target, flow.source))
            for source, target in ends:
                amount = x[place[source]] * values[flow.by]
                if one.parameters[flow.by].unit == "L/h":
                    amount /= values[one.volumes[source]]
                change[place[source]] -= amount
                if target is not None:
                    change[place[target]] += amount
        return change

    # 0.3 mg/kg in 0-1 h, 0.2 mg/kg/h in 0.5-2.5 h, 0.2 at 3 h, 0.1 in 3-3.25 h
    stretches = [
        (0, 0.5, 0.3),
        (0.5, 1, 0.5),
        (1, 2.5, 0.2),
        (2.5, 3, 0),
        (3, 3.25, 0.4),
        (3.25, 30, 0),
    ]
    state = np.zeros(len(place))
    rows = []
    for start, end, rate in stretches:
        if start == 3:
            state[0] += 0.2 * weight_kg
        inside = times[(times >= start) & (times < end)]
        found = solve_ivp(
            slope, (start, end), state, args=(rate * weight_kg,), rtol=1e-10, atol=1e-12,
            method="LSODA", t_eval=np.append(inside, end),
        )  # fmt: skip
        rows.append(found.y[:, :-1])
        state = found.y[:, -1]
    amounts = np.hstack(rows)
    volume = {name: values[one.volumes[name]] for name in ("central", one.norketamine) if name}
    table = pd.DataFrame({"ketamine_ng_ml": amounts[0] / volume["central"] * 1000})
    if one.norketamine:
        table["norketamine_ng_ml"] = (
            amounts[place[one.norketamine]] / volume[one.norketamine] * 1000
        )
    return table


@pytest.mark.parametrize("model", list(MODELS))
def test_an_integrator_finds_the_same(model):
    """scipy 1.17 solve_ivp, LSODA, rtol 1e-10: relative difference below 1e-6."""
    times = np.array([0.01, 0.2, 0.5, 0.9, 1.0, 2.0, 2.6, 3.0, 3.1, 3.25, 4.0, 8.0, 24.0])
    expected = integrated(model, 81.0, times)
    found = simulate_concentration(MIXED, model=model, weight_kg=81.0, times_h=times)
    for column in expected:
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-6)
    if model in ("kamp2020", "clements1981", "domino1982"):
        assert found["norketamine_ng_ml"].isna().all()


def test_the_default_model_gives_the_tabulated_concentrations():
    """Numbers computed independently for 70 kg, printed to the unit (1.1 to the tenth)."""
    short = simulate_concentration(
        SHORT, model="otto2021", weight_kg=70, times_h=np.array([40, 50, 80, 165, 1440]) / 60
    )["ketamine_ng_ml"]
    assert short.round(0).iloc[:4].tolist() == [158, 125, 79, 40]
    assert round(short.iloc[4], 1) == 1.1
    long = simulate_concentration(
        TITRATION, model="otto2021", weight_kg=70, times_h=[12, 24, 36, 48, 96, 97]
    )["ketamine_ng_ml"]
    assert long.round(0).tolist() == [100, 206, 316, 426, 441, 280]
    steady = pd.DataFrame({"start_h": [0.0], "duration_h": [1e4], "rate_mg_kg_h": [0.54]})
    at_last = simulate_concentration(steady, model="otto2021", weight_kg=70, times_h=[9999.0])
    assert round(at_last["ketamine_ng_ml"].iloc[0]) == 397
    # 0.54 mg/kg/h x 70 kg / 95.2 L/h
    assert at_last["ketamine_ng_ml"].iloc[0] == pytest.approx(1000 * 0.54 * 70 / 95.2, rel=1e-9)


@pytest.mark.parametrize(
    ("model", "clearance_l_h"),
    [
        ("otto2021", 95.2),
        ("kamp2020", 84.0),
        # Well-stirred liver: Qh Vh k / (Qh + Vh k), with k = kel + kmet; "about 109 L/h"
        ("perez-ruixo2021", 151 * 101 * 3.88 / (151 + 101 * 3.88)),
        ("clements1981", 0.0109 * 60 * 1.7522 * 70),
        ("domino1982", 0.4381 * 60 * 0.063 * 70),
    ],
)
def test_the_area_to_infinity_is_dose_over_clearance(model, clearance_l_h):
    solution = solve(MIXED, model=find_model(model), weight_kg=70)
    dose_mg = (0.3 + 0.4 + 0.2 + 0.1) * 70
    area = solution.auc(np.array([np.inf]))[0]
    assert area == pytest.approx(1000 * dose_mg / clearance_l_h, rel=1e-9)
    if model == "perez-ruixo2021":
        assert round(clearance_l_h) == 109


def test_weight_scales_central_volumes_and_clearances_only():
    """Otto 2021: exponents 1 and 0.75 for V and CL of both; peripheral ones are not scaled."""
    values = find_model("otto2021").values(140.0)
    assert values["V1"] == pytest.approx(266.0)
    assert values["CLN"] == pytest.approx(57.72 * 2**0.75)
    assert values["V2"] == 187.0
    assert values["Q3"] == 157.0


regimens = st.lists(
    st.tuples(
        st.floats(0, 48),
        st.sampled_from([0.0, 0.1, 40 / 60, 2.0, 12.0]),
        st.floats(0.01, 3),
    ),
    min_size=1,
    max_size=4,
)
models = st.sampled_from(list(MODELS))
TIMES = np.array([0.0, 0.3, 1.0, 5.0, 20.0, 49.0, 61.0, 90.0])


def plan(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["start_h", "duration_h", "amount_mg_kg"])


def both(rows, model: str, times=TIMES) -> np.ndarray:
    table = simulate_concentration(plan(rows), model=model, weight_kg=63.0, times_h=times)
    return np.nan_to_num(table[["ketamine_ng_ml", "norketamine_ng_ml"]].to_numpy())


@settings(max_examples=40, deadline=None)
@given(regimens, regimens, models)
def test_doses_add_up(first, second, model):
    """Superposition: two plans together give the sum of both alone."""
    together = both(first + second, model)
    apart = both(first, model) + both(second, model)
    np.testing.assert_allclose(together, apart, rtol=1e-8, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(regimens, models, st.floats(0.1, 10))
def test_twice_the_dose_twice_the_concentration(rows, model, factor):
    more = [(start, length, amount * factor) for start, length, amount in rows]
    np.testing.assert_allclose(both(more, model), factor * both(rows, model), rtol=1e-8, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(regimens, models, st.floats(0, 100))
def test_later_doses_give_the_same_later(rows, model, delay):
    later = [(start + delay, length, amount) for start, length, amount in rows]
    # A bolus moves by rounding too: look a little beside it.
    times = TIMES + 1e-7
    np.testing.assert_allclose(
        both(later, model, times + delay), both(rows, model, times), rtol=1e-5, atol=1e-5
    )


@settings(max_examples=40, deadline=None)
@given(regimens, models)
def test_no_drug_is_lost_or_made(rows, model):
    """What was given is in the body or has left it through the flows out, by their own integrals."""
    one = find_model(model)
    solution = solve(plan(rows), model=one, weight_kg=63.0)
    # The integral by Gauss-Legendre on steps that grow after each change, not by the closed form.
    end = 61.0
    steps = np.concatenate([[0.0], np.geomspace(1e-4, end, 60)])
    edges = np.unique(np.clip(solution.breaks_h[:, None] + steps, 0, end))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges) / 2
    at = (edges[:-1] + half)[:, None] + half[:, None] * nodes
    inside = solution.amounts(at.ravel()).reshape(*at.shape, -1)
    integral = np.einsum("kqn,q,k->n", inside, weights, half)
    out = -solution.matrix.sum(axis=0) @ integral
    left = solution.amounts(np.array([end]))[0].sum()
    assert left + out == pytest.approx(solution.given_mg(np.array([end]))[0], rel=1e-6)
    assert left >= 0


def test_before_the_first_dose_there_is_nothing_and_a_bolus_counts_at_its_time():
    bolus = plan([(2.0, 0.0, 1.0)])
    found = simulate_concentration(bolus, model="otto2021", weight_kg=70, times_h=[2.0, -1, 1.99])
    assert found["time_h"].tolist() == [2.0, -1.0, 1.99]
    assert found["ketamine_ng_ml"].tolist() == [pytest.approx(70 / 133 * 1000), 0.0, 0.0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"start_h": [0], "duration_h": [1]}, "needs the column amount_mg_kg or rate_mg_kg_h"),
        ({"start_h": [0], "amount_mg_kg": [1]}, "the column duration_h is missing"),
        (
            {"start_h": [0], "duration_h": [1], "amount_mg": [35]},
            "there is no column 'amount_mg'; did you mean 'amount_mg_kg'?",
        ),
        (
            {"start_h": [0, 1], "duration_h": [1, 1], "amount_mg_kg": [0.5, -0.5]},
            "dose 2 amount_mg_kg: is -0.5; allowed are finite numbers from 0 on",
        ),
        (
            {"start_h": [0], "duration_h": [1], "amount_mg_kg": [1], "rate_mg_kg_h": [1]},
            "dose 1: has both amount_mg_kg and rate_mg_kg_h; keep one of them",
        ),
        (
            {"start_h": [0], "duration_h": [1], "amount_mg_kg": [None]},
            "dose 1: has neither amount_mg_kg nor rate_mg_kg_h",
        ),
        (
            {"start_h": [0], "duration_h": [0], "rate_mg_kg_h": [0.5]},
            "a bolus (duration_h 0) has no rate",
        ),
        (
            {"start_h": ["ten"], "duration_h": [1], "amount_mg_kg": [1]},
            "dose 1 start_h: 'ten' is no number",
        ),
        ({"start_h": [None], "duration_h": [1], "amount_mg_kg": [1]}, "dose 1 start_h: is empty"),
        ({"start_h": [], "duration_h": [], "amount_mg_kg": []}, "has no dose"),
    ],
)
def test_a_plan_that_cannot_be(table, said):
    with pytest.raises(InputError, match=r"plan\.tsv") as caught:
        check_regimen(pd.DataFrame(table), place="plan.tsv")
    assert any(text.startswith("plan.tsv") and said in text for text in caught.value.problems)


def test_other_wrong_arguments():
    with pytest.raises(InputError, match="did you mean 'otto2021'"):
        simulate_concentration(SHORT, model="oto2021", weight_kg=70, times_h=[1])
    with pytest.raises(InputError, match="weight_kg: is 0; allowed are 2 to 400 kg"):
        simulate_concentration(SHORT, model="otto2021", weight_kg=0, times_h=[1])
    with pytest.raises(InputError, match="times_h"):
        simulate_concentration(SHORT, model="otto2021", weight_kg=70, times_h=[np.nan])


def test_people_come_apart_with_their_weights():
    table = SHORT.loc[[0, 0, 0]].assign(
        subject=["sub-01", "02", "02"], start_h=[0.0, 0.0, 24.0], weight_kg=[60, None, 82.5]
    )
    people = regimens_of_people(table)
    assert list(people) == ["01", "02"]
    assert people["01"][1] == 60.0
    assert len(people["02"][0]) == 2
    assert people["02"][1] == 82.5
    with pytest.raises(InputError, match=r"sub-02 weight_kg: is 80.0 and 82.5"):
        regimens_of_people(table.assign(weight_kg=[60, 80, 82.5]))
    with pytest.raises(InputError, match="column subject is missing"):
        regimens_of_people(SHORT)


def test_doses_in_words():
    assert describe_dose(0, 2 / 3, 0.5) == "0.5 mg/kg from 0 h to 40 min (0.75 mg/kg/h)"
    assert describe_dose(12, 0, 0.1) == "0.1 mg/kg at once at 12 h"


@pytest.mark.parametrize("model", list(MODELS.values()), ids=list(MODELS))
def test_every_model_says_where_it_comes_from(model):
    for text in (model.source, model.checked, model.assumption, model.population, model.matrix):
        assert len(text) > 4
    assert set(model.volumes.values()) <= set(model.parameters)
    for names, covariance in model.variability:
        assert set(names) <= set(model.parameters)
        assert (np.linalg.eigvalsh(np.array(covariance)) > 0).all()


def test_nearly_equal_rate_constants_fall_back_on_the_exponential_itself(monkeypatch):
    """The matrix exponential and the eigenvectors give the same."""
    usual = simulate_concentration(MIXED, model="otto2021", weight_kg=70, times_h=TIMES)
    monkeypatch.setattr("connectrial.trial.pharmacokinetics._MAX_CONDITION", 0.0)
    other = simulate_concentration(MIXED, model="otto2021", weight_kg=70, times_h=TIMES)
    np.testing.assert_allclose(usual, other, rtol=1e-9, atol=1e-12)
