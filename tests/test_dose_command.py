"""The command dose: what it prints and writes, its messages, and the table of the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from command_line import connectrial
from connectrial.io.regimens import read_regimen
from connectrial.trial.compartments import MODELS
from connectrial.trial.pharmacokinetics import simulate_concentration

DOCS = Path(__file__).parents[1] / "docs"
TABLE = "subject\tstart_h\tduration_h\trate_mg_kg_h\tweight_kg\n01\t0\t12\t0.15\t60\n02\t0\t96\t0.3\tn/a\n"


def test_it_prints_model_source_assumptions_and_numbers():
    done = connectrial(
        "dose", "ketamine-0.5mgkg-40min", "--times", "40min,80min,24h", "--above", 100,
        "--people", 50, "--seed", 4,
    )  # fmt: skip
    assert done.returncode == 0
    for text in (
        "otto2021", "doi:10.1007/s00228-021-03104-1", "a model of S-ketamine is used for racemic",
        "Assumed, not measured", "a stand-in", "50 drawn (seed 4)", "hours above 100 ng/ml",
    ):  # fmt: skip
        assert text in done.stdout, text
    row = re.search(r"^40 min +158 +47\.1 +28 % +(\d+) to (\d+)", done.stdout, re.MULTILINE)
    assert row
    assert int(row[1]) < 158 < int(row[2])


def test_it_writes_tables_settings_and_figure(tmp_path):
    done = connectrial(
        "dose", "siegel-96h", "--model", "kamp2020", "--out", tmp_path / "o", "--scans", "5d"
    )
    assert done.returncode == 0
    assert "stand-in: the steps" in done.stdout
    assert "observed: a mean of 424 ng/ml" in done.stdout
    assert "norketamine (ng/ml)" not in done.stdout
    table = pd.read_csv(tmp_path / "o" / "concentrations.tsv", sep="\t")
    expected = simulate_concentration(
        read_regimen("siegel-96h").doses, model="kamp2020", weight_kg=70, times_h=table["time_h"]
    )
    pd.testing.assert_series_equal(table["ketamine_ng_ml"], expected["ketamine_ng_ml"])
    settings = json.loads((tmp_path / "o" / "dose.json").read_text())
    assert settings["settings"]["model"] == "kamp2020"
    assert "arterial" in settings["caution"]
    assert (tmp_path / "o" / "concentrations.svg").read_text().count("120 h") >= 1
    assert (tmp_path / "o" / "concentrations.png").read_bytes()[:4] == b"\x89PNG"


def test_a_plan_for_each_person(tmp_path):
    path = tmp_path / "doses.tsv"
    path.write_text(TABLE)
    done = connectrial("dose", path, "--weight-kg", 80, "--out", tmp_path / "o")
    assert done.returncode == 0
    exposure = pd.read_csv(tmp_path / "o" / "exposure.tsv", sep="\t", dtype={"subject": str})
    area = exposure.loc[
        (exposure["measure"] == "auc to infinity") & (exposure["analyte"] == "ketamine")
    ]
    # dose over clearance, 95.2 (kg/70)^0.75 L/h
    expected = [
        1000 * 0.15 * 12 * 60 / 95.2 / (60 / 70) ** 0.75,
        1000 * 0.3 * 96 * 80 / 95.2 / (80 / 70) ** 0.75,
    ]
    assert area["value"].tolist() == pytest.approx(expected)
    assert area["subject"].tolist() == ["01", "02"]


def test_the_list():
    done = connectrial("dose", "--list")
    assert done.returncode == 0
    for name in (*MODELS, "siegel-96h", "ketamine-0.5mgkg-40min", "human-nmdar"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "REGIMEN: name a dose plan or a file"),
        (["siegel"], "siegel: there is no such file or dose plan"),
        (["siegel-96h", "--model", "otto"], "model: there is no 'otto'; did you mean 'otto2021'?"),
        (["siegel-96h", "--weight-kg", "0"], "--weight-kg: is 0; allowed are 2 to 400 kg"),
        (["siegel-96h", "--times", "soon"], "--times: 'soon' is no time"),
        (["siegel-96h", "--occupancy", "siegel"], "occupancy: there is no 'siegel'; did you mean"),
        (["siegel-96h", "--people", "-1"], "--people: is -1; allowed are 0 and more"),
        (["siegel-96h", "--cv", "20"], "--cv: belongs to --people"),
        (["siegel-96h", "--people", "5", "--cv", "wide"], "--cv: is 'wide'; allowed are a number"),
        (["siegel-96h", "--above", "-5"], "above_ng_ml: a level above 0 is needed"),
        (["siegel-96h", "--out", "FILE"], "is a file; name a folder"),
        (["TABLE", "--people", "5"], "this table gives each person doses of their own"),
    ],
)
def test_wrong_words_end_with_2(tmp_path, words, said):
    (tmp_path / "doses.tsv").write_text(TABLE)
    names = {"TABLE": tmp_path / "doses.tsv", "FILE": tmp_path / "doses.tsv"}
    done = connectrial("dose", *(names.get(word, word) for word in words))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def markdown_table(title: str) -> pd.DataFrame:
    """Read the table under a heading of docs/exposure.md."""
    text = (DOCS / "exposure.md").read_text(encoding="utf-8")
    block = text[text.index(title) :]
    lines = re.findall(r"^\|.*\|$", block.split("\n## ")[0], flags=re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return pd.DataFrame(rows[2:], columns=rows[0])


@pytest.mark.parametrize(
    ("title", "plan"),
    [("## A single infusion", "ketamine-0.5mgkg-40min"), ("## 96 hours", "siegel-96h")],
)
def test_the_documented_concentrations_are_computed_again(title, plan):
    """Every number of both tables in docs/exposure.md, to its printed digits; 70 kg."""
    table = markdown_table(title)
    hours = [
        float(head.split()[0]) / {"min": 60, "h": 1}[head.split()[1]]
        for head in table.columns
        if re.fullmatch(r"[\d.]+ (min|h)", head)
    ]
    models = table.loc[table["model"].str.strip("`").isin(MODELS)]
    assert len(models) == len(MODELS)
    for row in models.to_dict("records"):
        found = simulate_concentration(
            read_regimen(plan).doses, model=row["model"].strip("`"), weight_kg=70, times_h=hours
        )["ketamine_ng_ml"]
        printed = [cell for head, cell in row.items() if re.fullmatch(r"[\d.]+ (min|h)", head)]
        for text, value in zip(printed, found, strict=True):
            digits = len(text.partition(".")[2])
            assert f"{value:.{digits}f}" == text, (row["model"], text, value)
