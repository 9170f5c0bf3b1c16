"""Matching against brute force over all choices, and balance against its definition."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.trial.matching import describe_balance, match_controls


def pool(seed: int, *, n_patients: int, n_controls: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = n_patients + n_controls
    people = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n).round(),
            "fd_mm": rng.gamma(2, 0.05, n),
            "sex": rng.choice(["F", "M"], n),
        },
        index=[f"{i:02d}" for i in range(n)],
    )
    return people, np.arange(n) < n_patients


def mahalanobis(people: pd.DataFrame, is_patient: np.ndarray, on: list[str]) -> pd.DataFrame:
    """Return distances by the textbook, one pair at a time."""
    a, b = people.loc[is_patient, on], people.loc[~is_patient, on]
    pooled = (a.cov() * (len(a) - 1) + b.cov() * (len(b) - 1)) / (len(a) + len(b) - 2)
    inverse = np.linalg.inv(pooled.to_numpy())
    return pd.DataFrame(
        [[float(np.sqrt((x - y) @ inverse @ (x - y))) for y in b.to_numpy()] for x in a.to_numpy()],
        index=a.index,
        columns=b.index,
    )


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_no_other_choice_has_a_smaller_sum(seed):
    people, patient = pool(seed, n_patients=4, n_controls=6)
    found = match_controls(people, is_patient=patient, on=["age", "fd_mm"])
    distance = mahalanobis(people, patient, ["age", "fd_mm"]).to_numpy()
    best = min(sum(distance[i, j] for i, j in enumerate(p)) for p in permutations(range(6), 4))
    assert len(found.pairs) == 4
    assert found.total_distance == pytest.approx(best, rel=1e-9)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_exact_terms_and_calipers_hold_and_nobody_is_lost(seed):
    people, patient = pool(seed, n_patients=6, n_controls=9)
    found = match_controls(
        people, is_patient=patient, on=["age"], exact=["sex"], caliper={"age": 5.0}, ratio=2
    )
    for row in found.pairs.itertuples():
        assert people.loc[row.patient, "sex"] == people.loc[row.control, "sex"]
        assert abs(people.loc[row.patient, "age"] - people.loc[row.control, "age"]) <= 5
    assert found.pairs["control"].is_unique
    assert (found.pairs["patient"].value_counts() <= 2).all()
    everybody = {*found.pairs["patient"], *found.pairs["control"], *found.unmatched["subject"]}
    assert everybody == set(people.index)
    assert (found.unmatched["reason"] != "").all()
    # No allowed pair is left over: a patient with room and a free control that fits him.
    room = {s for s in people.index[patient] if (found.pairs["patient"] == s).sum() < 2}
    free = set(people.index[~patient]) - set(found.pairs["control"])
    for one in room:
        for other in free:
            fits = people.loc[one, "sex"] == people.loc[other, "sex"]
            assert not (fits and abs(people.loc[one, "age"] - people.loc[other, "age"]) <= 5)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(seed):
    people, patient = pool(seed, n_patients=5, n_controls=8)
    shuffled = np.random.default_rng(seed).permutation(len(people))
    first = match_controls(people, is_patient=patient, on=["fd_mm"])
    second = match_controls(people.iloc[shuffled], is_patient=patient[shuffled], on=["fd_mm"])
    pd.testing.assert_frame_equal(first.pairs, second.pairs)


def test_scarce_controls_are_shared_evenly():
    people = pd.DataFrame({"age": [30.0, 50.0, 30.0, 31.0, 32.0]}, index=list("abwxy"))
    found = match_controls(
        people, is_patient=[True, True, False, False, False], on=["age"], ratio=2
    )
    # All three controls are near a, but b is given one before a gets a second.
    assert found.pairs["patient"].value_counts().to_dict() == {"a": 2, "b": 1}
    assert found.pairs.set_index("control")["patient"]["y"] == "b"


def test_missing_values_are_a_reason():
    people = pd.DataFrame(
        {"age": [30.0, np.nan, 31.0, 60.0], "sex": ["F", "F", "F", "M"]}, index=list("abxy")
    )
    found = match_controls(people, is_patient=[True, True, False, False], on=["age"], exact=["sex"])
    assert found.unmatched.set_index("subject")["reason"].to_dict() == {
        "b": "no age",
        "y": "no patient within the limits",
    }


def test_balance_by_definition():
    """SMD by hand: means 2 and 4, variances 1 and 4, so -2 / sqrt(2.5); shares as binomial."""
    people = pd.DataFrame(
        {"x": [1.0, 2.0, 3.0, 2.0, 4.0, 6.0], "sex": ["F", "F", "M", "F", "M", "M"]}
    )
    patient = np.array([True] * 3 + [False] * 3)
    table = describe_balance(people, is_patient=patient, chosen=[True] * 4 + [False] * 2)
    x = table.query("variable == 'x'").iloc[0]
    assert x["smd_before"] == pytest.approx(-2 / np.sqrt(2.5), abs=1e-12)
    assert x["smd_after"] == pytest.approx(0.0, abs=1e-12)
    assert x["variance_ratio_before"] == pytest.approx(0.25, abs=1e-12)
    women = table.query("level == 'F'").iloc[0]
    assert women["smd_before"] == pytest.approx((2 / 3 - 1 / 3) / np.sqrt(2 / 9), abs=1e-12)
    assert (women["n_patients_after"], women["n_controls_after"]) == (3, 1)


def test_wrong_input_is_named_at_once():
    people, patient = pool(1, n_patients=2, n_controls=2)
    with pytest.raises(InputError) as caught:
        match_controls(
            people, is_patient=patient, on=["sex", "hight"], caliper={"age": 0.0}, ratio=0
        )
    text = "\n".join(caught.value.problems)
    for fragment in (
        "'sex': is not numeric",
        "no column 'hight'",
        "caliper of 'age'",
        "ratio: got 0",
    ):
        assert fragment in text
    with pytest.raises(InputError, match="there are no controls"):
        match_controls(people, is_patient=[True] * 4, on=["age"])
