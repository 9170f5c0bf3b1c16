"""Dose plans as files: what is shipped, what is read, what is refused."""

from __future__ import annotations

import pandas as pd
import pytest

from connectrial.errors import InputError
from connectrial.io.regimens import read_regimen, shipped_regimens
from connectrial.trial.regimens import check_regimen


@pytest.mark.parametrize("name", shipped_regimens())
def test_shipped_plans_are_whole(name):
    plan = read_regimen(name)
    assert plan.title
    assert plan.source
    assert not plan.per_person
    assert len(check_regimen(plan.doses)) == len(plan.doses)


def test_the_shipped_plans_give_what_their_sources_say():
    """Siegel 2021: 96 h from 0.15 to 0.6 mg/kg/h; 0.5 mg/kg over 40 min."""
    long = read_regimen("siegel-96h")
    assert "steps" in long.stand_in
    assert long.doses["rate_mg_kg_h"].iloc[[0, -1]].tolist() == [0.15, 0.60]
    ends = long.doses["start_h"] + long.doses["duration_h"]
    assert ends.iloc[-1] == 96
    assert (ends.iloc[:-1].to_numpy() == long.doses["start_h"].iloc[1:].to_numpy()).all()
    short = check_regimen(read_regimen("ketamine-0.5mgkg-40min").doses)
    assert short.to_numpy().tolist() == [[0.0, pytest.approx(40 / 60), 0.5]]


def test_a_table_with_people_and_decimal_commas(tmp_path):
    path = tmp_path / "doses.csv"
    path.write_text(
        "participant_id;start_h;duration_h;amount_mg_kg;weight_kg\n01;0;0,5;0,25;70,5\n"
    )
    plan = read_regimen(path)
    assert plan.per_person
    expected = pd.DataFrame(
        {
            "start_h": [0.0],
            "duration_h": [0.5],
            "amount_mg_kg": [0.25],
            "weight_kg": [70.5],
            "subject": ["01"],
        }
    )
    pd.testing.assert_frame_equal(plan.doses, expected, check_dtype=False, check_column_type=False)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[[dose]", "a.toml: is not valid TOML"),
        ("a.toml", 'title = "x"', "has no [[dose]]"),
        ("a.toml", 'titel = "x"\n[[dose]]\nstart_h = 0', "no key 'titel'; did you mean 'title'?"),
        ("a.toml", "times_h = 3\n[[dose]]\nstart_h = 0", "times_h: must be a list of hours; got 3"),
        ("a.toml", "title = 3\n[[dose]]\nstart_h = 0", "title: must be text; got 3"),
        (
            "a.tsv",
            "start_h\tduration_h\tamount_mg_kg\n0\t1\thalf\n",
            "row 2, column 'amount_mg_kg' holds 'half', which is no number",
        ),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_regimen(tmp_path / name)
    assert said in str(caught.value)


def test_an_unknown_name():
    with pytest.raises(InputError, match=r"no such file or dose plan.*did you mean 'siegel-96h'"):
        read_regimen("siegel-96")
