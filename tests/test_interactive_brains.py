"""Slices, connectomes, chords and checklists: what is drawn is what the results hold."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from connectrial.data import Atlas
from connectrial.figures.connectome import draw_chords, draw_connectome
from connectrial.figures.maps import MapRow
from connectrial.figures.matrices import order_by_network
from connectrial.report.blocks import Section
from connectrial.report.checklists import NOT_STATED, checklists, checklists_section
from connectrial.report.live_slices import LOWEST, mosaic_shape, slices_live
from connectrial.report.network_panels import network_blocks
from connectrial.run.parcels import parcels_table
from test_report import siegel_like

# Voxel axes: right to left, back to front, down to up; 3, 4 and 5 mm.
AFFINE = np.array([[-3.0, 0, 0, 12], [0, 4, 0, -8], [0, 0, 5, -10], [0, 0, 0, 1]])


def _decoded(form, number):
    """Read a map back as the page's script does: slices side by side, rows of slices downwards."""
    nx, ny, nz = form.data["shape"]
    own = form.data["maps"][number]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(own["png"]))))
    columns, _ = mosaic_shape(nz)
    codes = np.empty((nx, ny, nz), dtype=int)
    for z in range(nz):
        row, column = divmod(z, columns)
        codes[:, :, z] = sheet[row * ny : (row + 1) * ny, column * nx : (column + 1) * nx].T
    values = own["low"] + (codes - LOWEST) * own["step"]
    return np.where(codes < LOWEST, np.nan, values), codes


def test_slices_come_back_at_their_place_in_the_world():
    """Each voxel at its mm (affine of nibabel's convention), within half a step; the rest is missing."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(6, 5, 7)).astype(np.float32)
    values[0] = np.nan
    values[2, 2, 2] = np.nan
    second = np.where(np.isfinite(values), 5.0, np.nan).astype(np.float32)
    second[2, 2, 2] = 5.0
    rows = [MapRow(title=t, values=v, scale="t") for t, v in (("a", values), ("b", second))]
    form = slices_live("A map", rows, AFFINE)
    assert form is not None
    got, codes = _decoded(form, 0)
    assert form.data["shape"] == [5, 5, 7]
    step = form.data["maps"][0]["step"]
    assert step == pytest.approx(np.ptp(values[np.isfinite(values)]) / 253, rel=1e-6)
    for i, j, k in np.ndindex(values.shape):
        world = AFFINE @ [i, j, k, 1]
        place = [
            [n for n, mm in enumerate(form.data["mm"][axis]) if mm == world[axis]]
            for axis in range(3)
        ]
        if i == 0:
            assert not place[0]  # cut off: no map has a value there
            continue
        found = got[place[0][0], place[1][0], place[2][0]]
        if np.isnan(values[i, j, k]):
            assert np.isnan(found)
            assert codes[place[0][0], place[1][0], place[2][0]] == 1  # brain without a value
        else:
            assert abs(found - values[i, j, k]) <= step / 2 * 1.001
    assert np.nanmax(np.abs(_decoded(form, 1)[0] - 5.0)) == 0.0


def test_a_large_map_is_thinned_and_says_so():
    """Page weight: more than 700,000 voxels are shown at every second voxel, named in the words."""
    values = np.zeros((100, 100, 100), dtype=np.float32)
    form = slices_live("Large", [MapRow(title="a", values=values, scale="t")], np.eye(4))
    assert form is not None
    assert form.data["shape"] == [50, 50, 50]
    assert form.data["mm"][0][:3] == [0.0, 2.0, 4.0]
    assert "Every 2. voxel" in form.how


CENTRES = pd.DataFrame(
    {"x_mm": [-40.0, 40.0, 0.0, 10.0], "y_mm": [0.0, 0.0, 50.0, -60.0], "z_mm": [10.0, 10.0, 0.0, 40.0]},
    index=["left", "right", "front", "back"],
)  # fmt: skip
EDGES = pd.DataFrame(
    {
        "parcel_a": ["left", "left", "front"],
        "parcel_b": ["right", "front", "nowhere"],
        "statistic": [3.0, -4.0, 5.0],
    }
)


def _elements(svg: str, tag: str, css: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(svg).iter(tag) if css in one.get("class", "")]


def test_projections_keep_distances_and_sides():
    """Orthographic: left of the head on the left from above and behind, front on the right from the right."""
    svg = draw_connectome(EDGES, CENTRES, alt="alt words")
    lines = _elements(svg, "line", "edge")
    assert len(lines) == 6  # two edges with known places, three projections
    across = [one for one in lines if "left and right" in (one[0].text or "")]
    lengths = [float(one.get("x2", 0)) - float(one.get("x1", 0)) for one in across]
    assert lengths == pytest.approx([80.0, 80.0, 0.0], abs=0.11)
    forward = [one for one in lines if "left and front" in (one[0].text or "")]
    moved = [
        (
            float(one.get("x2", 0)) - float(one.get("x1", 0)),
            float(one.get("y2", 0)) - float(one.get("y1", 0)),
        )
        for one in forward
    ]
    # From left (-40, 0, 10) to front (0, 50, 0); y runs down on a page.
    assert np.allclose(moved, [(40, -50), (40, 10), (50, 10)], atol=0.11)
    assert all("below" in one.get("class", "") for one in forward)
    assert len(_elements(svg, "circle", "parcel")) == 12


def test_chords_end_on_the_arcs_of_their_networks():
    """A circle of radius 128 around (230, 180): each end on it, within the arc of its network."""
    parcels = ["left", "right", "front", "nowhere"]
    blocks = order_by_network(parcels, dict(zip(parcels, "aabb", strict=True)))
    svg = draw_chords(EDGES, blocks, alt="alt words")
    assert len(_elements(svg, "path", "arc")) == 2
    chords = _elements(svg, "path", "edge")
    assert len(chords) == 3
    for one in chords:
        numbers = [float(x) for x in re.findall(r"-?[\d.]+", one.get("d", ""))]
        for x, y in (numbers[:2], numbers[4:6]):
            assert np.hypot(x - 230, y - 180) == pytest.approx(128, abs=0.1)
    inside = next(one for one in chords if "left and right" in (one[0].text or ""))
    numbers = [float(x) for x in re.findall(r"-?[\d.]+", inside.get("d", ""))]
    assert min(numbers[0], numbers[4]) > 230  # the first network is the right half


def test_network_views_show_only_edges_that_pass():
    """No edge below .05: no view; places unknown: the circle alone; known: the brain, too."""
    results = siegel_like()
    edges = results.edges["all edges"]
    none = replace(results, edges={"all edges": edges.assign(p_adjusted=0.5)})
    assert network_blocks(none, "all edges") == []
    blocks = network_blocks(results, "all edges")
    assert [block.kind for block in blocks] == ["figure"]
    names = list(results.matrices["pre"].index)
    rng = np.random.default_rng(0)
    places = pd.DataFrame(rng.normal(size=(len(names), 3)) * 40, columns=["x_mm", "y_mm", "z_mm"])
    # Chords between networks need two of them.
    for networks, kinds in (
        (["one"], ["live", "figure"]),
        (["one", "two"], ["live", "figure", "figure"]),
    ):
        parcels = places.assign(parcel=names, network=np.resize(networks, len(names)))
        known = replace(results, tables={**results.tables, "parcels": parcels})
        blocks = network_blocks(known, "all edges")
        assert [block.kind for block in blocks] == kinds
    drawn = blocks[0].live.data
    passing = edges[edges["p_adjusted"] < 0.05]
    assert [(names[a], names[b]) for a, b, _ in drawn["edges"]] == list(
        zip(passing["parcel_a"], passing["parcel_b"], strict=True)
    )
    assert np.abs(np.array(drawn["places"]) - places.to_numpy()).max() <= 0.05 + 1e-9
    assert drawn["edges"][0][2] == pytest.approx(passing["statistic"].iloc[0], abs=0.005)


def test_parcels_have_the_centres_of_their_labels():
    """The mean place of a label's voxels in mm, or what the table states; no column where nobody knows."""
    labels = np.zeros((4, 3, 3), dtype=np.int32)
    labels[1:3, 0, 0] = 7
    parcels = pd.DataFrame({"network": ["a", "b"], "index": [7, 9]}, index=["p", "q"])
    atlas = Atlas(name="x", parcels=parcels, labels=labels, affine=AFFINE)
    found = parcels_table(atlas)
    assert found.loc[0, ["x_mm", "y_mm", "z_mm"]].tolist() == [7.5, -8.0, -10.0]
    assert found.loc[1, ["x_mm", "y_mm", "z_mm"]].isna().all()
    names = parcels_table(Atlas(name="x", parcels=parcels[["network"]]))
    assert list(names.columns) == ["parcel", "network"]
    stated = parcels[["network"]].assign(x_mm=[1.0, 2.0], y_mm=0.0, z_mm=5.0)
    assert parcels_table(Atlas(name="x", parcels=stated))["x_mm"].tolist() == [1.0, 2.0]


SECTIONS = [
    Section(key=key, title=key.title())
    for key in ("answer", "people", "quality", "estimates", "methods", "exploratory", "provenance")
]


def _checks(results, name):
    section = checklists_section(results, SECTIONS)
    assert section is not None
    tables = [inner.table for block in section.blocks for inner in block.blocks if inner.table]
    found = {}
    for table in (one for one in tables if one.caption.startswith(name)):
        for _, (number, _, where) in table.rows:
            words, link = (where.links or ((where.text, ""),))[0]
            found[number.text] = SimpleNamespace(status=words, section=link.removeprefix("#"))
    return found


def test_checklists_point_only_at_sections_that_are_there():
    """An item is answered where the study and the page have it; else 'not stated', never a guess."""
    results = siegel_like()
    checks = _checks(results, "CONSORT 2025")
    keys = {section.key for section in SECTIONS}
    assert {check.section for check in checks.values()} <= keys | {""}
    assert checks["2"].section == "provenance"
    assert checks["22a"].section == "people"
    assert checks["25"].status == NOT_STATED  # no baseline table in these results
    assert checks["5a"].status == NOT_STATED
    without = replace(results, study={"study": {"name": "x"}}, tables={})
    checks = _checks(without, "CONSORT 2025")
    assert checks["2"].status == checks["22a"].status == NOT_STATED


def test_randomisation_does_not_apply_to_a_trial_without_it():
    """pre-post: items on randomisation do not apply; a crossover has the extension's items, too."""
    results = siegel_like()
    single = replace(results, study={**results.study, "design": {"kind": "pre-post"}})
    assert _checks(single, "CONSORT 2025")["17a"].status == "does not apply (pre-post)"
    assert not _checks(single, "CONSORT for crossover")
    crossed = replace(
        results, study={**results.study, "design": {"kind": "crossover", "treatments": ["a", "b"]}}
    )
    assert _checks(crossed, "CONSORT 2025")["17a"].status == NOT_STATED
    assert _checks(crossed, "CONSORT for crossover")["3a"].section == "provenance"


def test_consort_2025_has_its_thirty_items():
    """Hopewell et al. 2025: items 1 to 30, each once, letters where an item has parts."""
    (own,) = [one for one in checklists() if one["name"] == "CONSORT 2025"]
    numbers = [item["number"] for item in own["item"]]
    assert len(numbers) == len(set(numbers)) == 42
    assert sorted({int(re.sub(r"\D", "", number)) for number in numbers}) == list(range(1, 31))
    every = [item for one in checklists() for item in one["item"]]
    assert all(item.get("where") or item.get("by_hand") for item in every)
