"""Sequences and periods of crossovers, by hand count."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.trial.periods import assign_periods

CODES = {"d": "ketamine", "p": "placebo"}


def orders(**cells: tuple[str | None, str | None]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(cells, orient="index", columns=["infusion_1", "infusion_2"])


def test_sequence_and_period_of_each_person() -> None:
    table = orders(a=("d", "p"), b=("p", "d"), c=("p", None), e=(None, None))
    found = assign_periods(table, treatments=["placebo", "ketamine"], codes=CODES)
    assert found.sequences == ("placebo then ketamine", "ketamine then placebo")
    assert found.sequence["a"] == "ketamine then placebo"
    assert found.period.loc["a"].tolist() == [2, 1]
    assert found.period.loc["b"].tolist() == [1, 2]
    # Who left after the first period keeps the sequence that was begun, and never had the second.
    assert found.sequence["c"] == "placebo then ketamine"
    assert found.period.loc["c", "placebo"] == 1
    assert pd.isna(found.period.loc["c", "ketamine"])
    assert "1 person left before period 2 (sub-c)" in found.notes[0]
    assert found.reasons == {"e": "no treatment is stated (infusion_1 and infusion_2)"}


def test_every_wrong_cell_is_named_at_once() -> None:
    table = orders(a=("x", "p"), b=(None, "d"), c=("d", "d"))
    with pytest.raises(InputError) as caught:
        assign_periods(table, treatments=["placebo", "ketamine"], codes=CODES)
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 3
    assert "sub-a, column 'infusion_1': 'x' is no treatment" in text
    assert "sub-b: column 'infusion_2' names a treatment though 'infusion_1'" in text
    assert "sub-c: was given 'ketamine' in two periods" in text


def test_with_three_treatments_one_period_does_not_tell_the_sequence() -> None:
    table = pd.DataFrame([["a", None, None], ["a", "c", None]], index=["s", "t"])
    found = assign_periods(table, treatments=["a", "b", "c"])
    assert pd.isna(found.sequence["s"])
    assert found.sequence["t"] == "a then c then b"


@given(st.permutations(["a", "b", "c"]))
def test_the_period_of_a_treatment_is_its_place_in_the_sequence(order: list[str]) -> None:
    found = assign_periods(pd.DataFrame([order], index=["s"]), treatments=["a", "b", "c"])
    assert found.sequence["s"] == " then ".join(order)
    assert found.period.loc["s"].to_dict() == {name: order.index(name) + 1 for name in order}
