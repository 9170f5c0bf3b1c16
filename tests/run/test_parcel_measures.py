"""Measures of parcels as outcomes: global connectivity and participation, from the study file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.data import Connectivity
from connectrial.errors import InputError, StudyFileError
from connectrial.fc.graphs import participation
from connectrial.fc.networks import network_fc_detail
from connectrial.fc.parcel_measures import global_of, participation_of
from connectrial.report.quality_panels import region_panels
from some_sections import render_some
from tiny import PARCELS, series_path, write_series

MEASURES = """
[[exploration]]
name = "Every edge"
model = "crossed"
test = "treatment[high]"
[sets.amygdala]
parcels = ["AMY-*"]
[[hypothesis]]
name = "Global"
gbc = "amygdala"
model = "crossed"
tests = ["treatment"]
[[hypothesis]]
name = "Spread"
participation = "Default"
model = "crossed"
tests = ["treatment"]
"""
CROSSOVER = """
[study]
name = "Three treatments"
seed = 1
[data]
kind = "time series"
derivatives = "data"
[design]
kind = "crossover"
treatments = ["placebo", "low", "high"]
order = { columns = ["first", "second", "third"] }
[[visit]]
name = "day 1"
treatment_sessions = { placebo = ["p"], low = ["l"], high = ["h"] }
[quality]
carpets = false
[model.crossed]
fixed = ["treatment", "period"]
random = ["1 | subject"]
"""


def write_three_way(folder: Path) -> Path:
    """Nine people, three treatments once each in a Latin square; the high dose lowers everything."""
    rng = np.random.default_rng(5)
    given = ["placebo", "low", "high"]
    rows = ["participant_id\tfirst\tsecond\tthird"]
    for number in range(9):
        subject = f"{number + 1:02d}"
        order = given[number % 3 :] + given[: number % 3]
        rows.append(f"sub-{subject}\t" + "\t".join(order))
        person = rng.normal(size=(len(PARCELS), 3)) * 0.2
        for treatment in given:
            strength = {"placebo": 0.8, "low": 0.6, "high": 0.2}[treatment]
            common = rng.normal(size=(60, 3))
            signal = 500 + common @ (person.T + strength) + rng.normal(size=(60, len(PARCELS)))
            write_series(series_path(folder / "data", subject, treatment[0]), signal)
    (folder / "data" / "participants.tsv").write_text("\n".join(rows) + "\n")
    (folder / "data" / "dataset_description.json").write_text(
        '{"Name": "t", "BIDSVersion": "1.10.0"}'
    )
    study = folder / "study.toml"
    study.write_text(CROSSOVER + MEASURES)
    return study


def matrix_of(out: Path, subject: str, session: str) -> pd.DataFrame:
    """Read a session's r as z, the diagonal missing."""
    file = next((out / f"sub-{subject}" / f"ses-{session}" / "func").glob("*_relmat.tsv"))
    r = pd.read_csv(file, sep="\t", index_col=0).to_numpy(dtype=float, copy=True)
    np.fill_diagonal(r, np.nan)
    return pd.DataFrame(np.arctanh(r), index=PARCELS, columns=PARCELS)


def test_measures_of_parcels_are_outcomes_in_a_crossover_of_three(tmp_path):
    """Against plain sums over the matrices that were written, and the means of treatments."""
    results = run_plan(plan_study(load_study(write_three_way(tmp_path))), tmp_path / "out")
    table = results.tables["network_fc"].set_index(["subject", "session", "outcome"])["fc_z"]
    for subject, session in [("01", "p"), ("04", "l"), ("09", "h")]:
        z = matrix_of(tmp_path / "out", subject, session)
        wanted = np.mean([z.loc[name].drop(name).mean() for name in ("AMY-lh", "AMY-rh")])
        assert table[subject, session, "Global"] == pytest.approx(wanted, abs=1e-9)
        network = {p: p.split("_")[1] for p in PARCELS if "_" in p}
        inside = z.loc[list(network), list(network)].clip(lower=0)
        sums = inside.T.groupby(network).sum().T
        share = sums.div(sums.sum(axis=1), axis=0)
        own = (1 - (share**2).sum(axis=1))[[p for p in network if "Default" in p]]
        assert table[subject, session, "Spread"] == pytest.approx(own.mean(), abs=1e-9)
    rows = results["Global"].estimates.query("declared and kind == 'coefficient'").set_index("term")
    means = results.tables["visit_fc"].query("outcome == 'Global'")
    means = means.groupby("treatment", observed=True)["fc_z"].mean()
    # Complete and balanced: the model's difference is the difference of means (algebra).
    for one in ("low", "high"):
        assert rows.loc[f"treatment[{one}]", "estimate"] == pytest.approx(
            means[one] - means["placebo"], abs=1e-8
        )
    assert rows.loc["treatment[high]", "estimate"] < -0.15
    assert rows.loc["treatment[high]", "unit"] == "Fisher z"
    # One column of a term is mapped over edges by its name (algebra, as above).
    edges = results.edges["Every edge"].set_index(["parcel_a", "parcel_b"])["estimate"]
    z = {t: results.matrices[f"{t} day 1"].loc["LH_Vis_1", "AMY-lh"] for t in ("high", "placebo")}
    assert edges["LH_Vis_1", "AMY-lh"] == pytest.approx(z["high"] - z["placebo"], abs=1e-8)
    spread = results["Spread"].estimates.query("declared and kind == 'coefficient'")
    assert set(spread["unit"]) == {"participation coefficient"}
    page = render_some(results, "hypotheses")
    regions = region_panels(results)[0].figure.axes[0]
    assert [label.get_text() for label in regions.get_xticklabels()] == [
        "placebo day 1",
        "low day 1",
        "high day 1",
    ]
    assert "each one&#39;s mean Fisher z with all others" in page or "each one's mean" in page


def test_global_connectivity_of_a_set_leaves_out_what_is_missing():
    """The mean of each parcel's mean over edges that are there; an edge inside counts for both."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(6, 6))
    z = (z + z.T) / 2
    np.fill_diagonal(z, np.nan)
    z[5], z[:, 5] = np.nan, np.nan
    z[0, 3] = z[3, 0] = np.nan
    names = pd.Index([f"p{i}" for i in range(6)])
    found = network_fc_detail(
        Connectivity(z=z, parcels=names), global_of(["p0", "p1", "p5"], names, name="g")
    )
    wanted = np.mean([np.nanmean(z[0]), np.nanmean(z[1])])
    assert found.fc_z == pytest.approx(wanted, abs=1e-12)
    assert found.n_edges == 5 + 4 + 3
    assert found.n_missing == 5 + 1
    assert found.missing_parcels == ("p5",)


def test_participation_of_a_set_is_the_mean_of_its_parcels():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(6, 6))
    z = (z + z.T) / 2
    np.fill_diagonal(z, np.nan)
    names = pd.Index([f"p{i}" for i in range(6)])
    networks = {f"p{i}": "ab"[i % 2] for i in range(5)}
    one = Connectivity(z=z, parcels=names)
    found = network_fc_detail(one, participation_of(["p0", "p3"], names, networks, name="s"))
    assert found.fc_z == pytest.approx(participation(one, networks)[["p0", "p3"]].mean(), abs=1e-15)
    with pytest.raises(InputError, match="'p5' have none"):
        participation_of(["p0", "p5"], names, networks, name="s")
    with pytest.raises(InputError, match="the atlas has 1"):
        participation_of(["p0"], names, {"p0": "a", "p1": "a"}, name="s")


@pytest.mark.parametrize(
    ("right", "wrong", "fragment"),
    [
        ('gbc = "amygdala"', 'gbc = "amygdla"', "there is no 'amygdla'; did you mean 'amygdala'?"),
        ('participation = "Default"', 'participation = "amygdala"', "'AMY-lh', 'AMY-rh' have none"),
        ("treatment[high]", "treatment[hihg]", "its columns are treatment[low], treatment[high]"),
        (
            '"treatment[high]"',
            '"treatment[high]"\nmethod = "tfnbs"',
            "has no term 'treatment[high]'",
        ),
        ('gbc = "amygdala"', 'gbc = "amygdala"\nwithin = "Default"', "exactly one of within"),
    ],
)
def test_a_wrong_measure_gets_its_message(tmp_path, right, wrong, fragment):
    study = write_three_way(tmp_path)
    study.write_text(study.read_text().replace(right, wrong, 1))
    problems: tuple[str, ...] = ()
    try:
        problems = plan_study(load_study(study)).problems
    except StudyFileError as error:
        problems = tuple(error.problems)
    assert fragment in "\n".join(problems)
