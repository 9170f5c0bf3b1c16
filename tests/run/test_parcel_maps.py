"""Maps over parcels in a run on series: described by visit, drawn, saved, never tested."""

from __future__ import annotations

import numpy as np
import pytest

from connectrial import load_results, load_study, plan_study, run_plan
from connectrial.errors import StudyFileError
from some_sections import render_some

MAPS = """
[maps.amygdala]
seed = { set = "amygdala" }

[maps.visual]
seed = { network = "Vis" }

[maps.everything]
measure = "gbc"
"""


@pytest.fixture
def mapped(tiny):
    table = ["index\tname\tnetwork\tx_mm\ty_mm\tz_mm"]
    from tiny import PARCELS

    for k, name in enumerate(PARCELS, start=1):
        side = -1 if "L" in name or "lh" in name else 1
        network = name.split("_")[1] if "_" in name else "Subcortex"
        table.append(f"{k}\t{name}\t{network}\t{side * (10 + k)}\t{5 * k - 40}\t{3 * k}")
    (tiny.parent / "parcels.tsv").write_text("\n".join(table) + "\n")
    tiny.write_text(tiny.read_text() + MAPS + '\n[atlas]\ntable = "../parcels.tsv"\n')
    return tiny


def test_a_map_over_parcels_is_the_mean_of_peoples_maps(mapped, tmp_path):
    plan = plan_study(load_study(mapped))
    assert plan.problems == ()
    results = run_plan(plan, tmp_path / "out")
    table = results.tables["profiles"]
    assert set(table["map"]) == {"amygdala", "visual", "everything"}
    own = table.query("map == 'visual'")
    fc = results.tables["visit_fc"].query("outcome == 'Visual'")
    before, after = (fc[fc["visit"] == v].set_index("subject")["fc_z"] for v in ("before", "after"))
    seed = own.query("in_seed and what == 'mean' and visit == 'before'")
    # Over the seed itself the map's mean is the mean over the network's own edges.
    assert seed["fc_z"].mean() == pytest.approx(before.mean(), abs=1e-12)
    changed = own.query("in_seed and what == 'change'")
    assert changed["fc_z"].mean() == pytest.approx((after - before).dropna().mean(), abs=1e-12)
    assert set(changed["n_subjects"]) == {10}  # 03 has no second scan, of 05 no arm is stated
    assert set(changed["from_visit"]) == {"before"}
    counts = results["visual"].estimates
    assert set(counts["kind"]) == {"count"}
    assert counts["p"].isna().all()
    again = load_results(tmp_path / "out")
    np.testing.assert_array_equal(again.tables["profiles"]["fc_z"], table["fc_z"])
    page = render_some(again, "maps")
    assert "Maps over parcels" in page
    assert "mean change, before to after (10 people)" in page


WRONG = {
    "a sphere": (
        'seed = { set = "amygdala" }',
        "seed = { sphere = [0, 0, 0], radius_mm = 5 }",
        "[maps.amygdala] seed.sphere: series and matrices of parcels have no voxels",
    ),
    "smoothing": (
        'seed = { set = "amygdala" }',
        'seed = { set = "amygdala" }\nsmoothing_fwhm_mm = 6',
        "[maps.amygdala] smoothing_fwhm_mm: parcels are not smoothed",
    ),
    "a test": (
        'seed = { set = "amygdala" }',
        'seed = { set = "amygdala" }\nmodel = "change"\ntests = ["visit:arm"]',
        "[maps.amygdala] model: maps over parcels are described, not tested",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_parcels_cannot_give_is_refused(mapped, case):
    right, wrong, message = WRONG[case]
    mapped.write_text(mapped.read_text().replace(right, wrong))
    with pytest.raises(StudyFileError) as caught:
        load_study(mapped)
    assert message in "\n".join(caught.value.problems)
