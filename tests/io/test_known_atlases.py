"""Atlases by name: counts and numbers as their papers print them, and no network in between."""

import socket

import nibabel as nib
import numpy as np
import pytest

from connectrial.data import Atlas, Grayordinates
from connectrial.errors import InputError
from connectrial.io.atlas_files import read_registry
from connectrial.io.atlas_list import list_atlases
from connectrial.io.known_atlases import (
    SIEGEL,
    atlas_table,
    known_atlases,
    load_atlas,
)
from connectrial.io.limbic import (
    GROWN,
    LIMBIC_NODES,
    add_subcortex,
    limbic_rows,
    read_limbic_labels,
)

# Community sizes of Gordon et al. 2016, and the numbers of its Default parcels.
GORDON = {
    "Default": 41, "CinguloOperc": 40, "Visual": 39, "SMhand": 38, "DorsalAttn": 32,
    "FrontoParietal": 24, "Auditory": 24, "VentralAttn": 23, "SMmouth": 8,
    "RetrosplenialTemporal": 8, "CinguloParietal": 5, "Salience": 4, "None": 47,
}  # fmt: skip
DEFAULT = (
    "1 4 6 25 26 44 94 114 116 117 126 127 145 146 150 151 152 154 156 157 162 165 184 186 200 220 225 "
    "257 259 278 279 290 315 316 321 322 323 324 325 326 331"
)
# Power et al. 2011, the communities of the 264 areas.
POWER = {
    "Default": 58, "Visual": 31, "SMhand": 30, "Uncertain": 28, "FrontoParietal": 25,
    "Salience": 18, "CinguloOperc": 14, "Auditory": 13, "Subcortical": 13, "DorsalAttn": 11,
    "VentralAttn": 9, "SMmouth": 5, "MemoryRetrieval": 5, "Cerebellar": 4,
}  # fmt: skip
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
SHAPE = (91, 109, 91)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("something wants the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("CONNECTRIAL_HOME", str(tmp_path / "home"))


def write(path, labels, affine=AFFINE):
    nib.save(nib.Nifti1Image(labels, affine), path)
    return path


def box(labels, place_mm, label, half=2, affine=AFFINE):
    i, j, k = np.rint(np.linalg.inv(affine) @ [*place_mm, 1]).astype(int)[:3]
    labels[i - half : i + half + 1, j - half : j + half + 1, k - half : k + half + 1] = label


@pytest.fixture(scope="module")
def gordon_image(tmp_path_factory):
    """One voxel or more at each of Gordon's centroids: a stand-in with all 333 labels."""
    labels = np.zeros(SHAPE, dtype=np.int16)
    parcels = atlas_table("Gordon333")
    for half in (1, 0):  # first cubes, then the centres, which no neighbour may take
        for row in parcels.itertuples():
            box(labels, (row.x_mm, row.y_mm, row.z_mm), row.index, half)
    return write(tmp_path_factory.mktemp("gordon") / "gordon.nii.gz", labels)


def test_seitzmans_300_keep_their_published_numbers(offline):
    atlas = load_atlas("Seitzman300")
    assert len(atlas.parcels) == 300
    assert atlas.is_sphere.all()
    counts = atlas.parcels["structure"].value_counts()
    assert counts.to_dict() == {
        "cortex": 239, "cerebellum": 27, "basalGanglia": 16, "thalamus": 12, "hippocampus": 4,
        "amygdala": 2,
    }  # fmt: skip
    radius = atlas.parcels.groupby("structure")["radius_mm"].unique()
    assert radius["cortex"].tolist() == [5.0]
    assert all(radius[name].tolist() == [4.0] for name in counts.index if name != "cortex")
    amygdala = atlas.parcels.loc["R_amygdala_245"]
    assert amygdala[["x_mm", "y_mm", "z_mm"]].to_numpy(float) == pytest.approx(
        [19.5, -1.9, -23.1], abs=0.06
    )
    assert atlas.parcels.loc["L_thalamus_263", "network"] == "DefaultMode"
    assert atlas.parcels["index"].tolist() == list(range(1, 301))
    assert load_atlas("Seitzman300", radius_mm=6).parcels["radius_mm"].unique().tolist() == [6]


def test_powers_264_and_dosenbachs_160(offline):
    power = load_atlas("Power264")
    assert power.parcels["network"].value_counts().to_dict() == POWER
    assert power.parcels.iloc[0][["x_mm", "y_mm", "z_mm"]].tolist() == [-25, -98, -12]
    dosenbach = load_atlas("Dosenbach160")
    assert len(dosenbach.parcels) == 160
    assert dosenbach.parcels["network"].nunique() == 6
    assert dosenbach.parcels.loc["R_vmPFC_1", ["x_mm", "y_mm", "z_mm"]].tolist() == [6, 64, 3]
    for atlas in (power, dosenbach):
        assert atlas.parcels["radius_mm"].unique().tolist() == [5.0]
        assert "stand-in" in atlas.notes[0]
    assert load_atlas("Power264", radius_mm=4).notes == ()


def test_gordons_table_is_built_in():
    parcels = atlas_table("Gordon")  # as XCP-D calls it
    assert parcels["network"].value_counts().to_dict() == GORDON
    default = parcels["index"][(parcels["network"] == "Default").to_numpy()]
    assert default.tolist() == [int(number) for number in DEFAULT.split()]
    assert parcels["index"].tolist() == list(range(1, 334))
    assert (parcels["hemisphere"] == "L").sum() == 161
    sgacc = parcels.loc[["L_Default_117", "R_Default_279"]]
    assert sgacc[["x_mm", "y_mm", "z_mm"]].to_numpy().tolist() == [
        [-6.8, 38.2, -9.4],
        [7.2, 48.4, -10.1],
    ]
    assert ((parcels["x_mm"] < 0) == (parcels["hemisphere"] == "L")).all()
    assert atlas_table("4S456Parcels") is None


def test_gordon_with_an_image_of_ones_own(gordon_image, offline, tmp_path):
    atlas = load_atlas("Gordon333", image=gordon_image)
    assert len(atlas.network("None")) == 47
    assert atlas.labels.max() == 333
    with pytest.raises(InputError, match="run 'connectrial fetch Gordon333', or name an image"):
        load_atlas("Gordon333")
    mirror = np.asarray(nib.load(gordon_image).dataobj)
    flipped = AFFINE * np.array([[-1], [1], [1], [1]])
    with pytest.raises(
        InputError, match=r"left and right are swapped: .* the built-in table of Gordon"
    ):
        load_atlas("Gordon333", image=write(tmp_path / "flipped.nii.gz", mirror, flipped))
    with pytest.raises(InputError, match="1 rows have no voxel"):
        load_atlas(
            "Gordon333", image=write(tmp_path / "few.nii.gz", np.where(mirror == 7, 0, mirror))
        )


def test_siegels_atlas_with_spheres_for_want_of_an_image(gordon_image, offline):
    atlas = load_atlas(SIEGEL, image=gordon_image)
    networks = atlas.parcels["network"]
    assert len(atlas.parcels) == 333 + 61
    # The paper's counts of pairs: 45 limbic, 820 Default, 741 visual.
    pairs = {name: n * (n - 1) // 2 for name, n in networks.value_counts().items()}
    assert (pairs["Limbic"], pairs["Default"], pairs["Visual"]) == (45, 820, 741)
    assert set(atlas.network("Limbic")) == set(LIMBIC_NODES)
    grown = atlas.parcels.loc[list(GROWN)]
    assert grown["radius_mm"].tolist() == [6.0] * 8
    assert atlas.parcels.loc["L_anteromedial_thalamus", "radius_mm"] == 4
    assert atlas.parcels["index"].is_unique
    assert sum("stand-in" in note for note in atlas.notes) == 2
    larger = load_atlas(SIEGEL, image=gordon_image, limbic_radius_mm=7.5)
    assert larger.parcels.loc["R_amygdala", "radius_mm"] == 7.5


def aseg(path, *, numbers=None):
    """Boxes at the places of Seitzman's nodes; hippocampi as bars from y = -10 to y = -40 mm."""
    labels = np.zeros(SHAPE, dtype=np.int16)
    numbers = numbers or {"hippocampus": (17, 53), "amygdala": (18, 54), "accumbens": (26, 58)}
    for sign, side in ((-1, 0), (1, 1)):
        for y in range(-40, -8, 2):
            box(labels, (26 * sign, y, -14), numbers["hippocampus"][side], 1)
        box(labels, (20 * sign, -2, -22), numbers["amygdala"][side])
        box(labels, (12 * sign, 16, -6), numbers["accumbens"][side])
    labels[40, 50, 80] = 3  # another structure
    return write(path, labels)


def test_whole_structures_out_of_an_aseg(gordon_image, tmp_path, offline):
    image = aseg(tmp_path / "aseg.nii.gz")
    atlas = load_atlas(SIEGEL, image=gordon_image, limbic_image=image)
    nodes = atlas.parcels.loc[list(LIMBIC_NODES)]
    assert nodes["radius_mm"].isna().tolist() == [True] * 8 + [False] * 2
    assert atlas.is_sphere.sum() == 61 - 8
    voxels = {
        name: np.stack(np.nonzero(atlas.labels == nodes.loc[name, "index"])) for name in GROWN
    }
    assert voxels["L_amygdala"].shape[1] == 125
    assert all(places.shape[1] > 0 for places in voxels.values())
    for name, places in voxels.items():
        x, y, _ = AFFINE[:3, :3] @ places + AFFINE[:3, 3:]
        assert (x < 0).all() == name.startswith("L")
        if "hippocampus" in name:
            assert (y >= -21).all() == ("anterior" in name)
            assert (y < -21).all() == ("posterior" in name)
    assert any("y = -21 mm (stand-in" in note for note in atlas.notes)
    moved = read_limbic_labels(image, hippocampus_split_y_mm=-30.0)
    front = GROWN.index("L_anterior_hippocampus") + 1
    assert (moved.labels == front).sum() > voxels["L_anterior_hippocampus"].shape[1]
    with pytest.raises(InputError, match="nothing is left of L_posterior_hippocampus"):
        read_limbic_labels(image, hippocampus_split_y_mm=-44.0)


def test_whole_structures_out_of_names(tmp_path):
    words = ["HIP-rh", "AMY-rh", "pTHA-rh", "NAc-rh", "HIP-lh", "AMY-lh", "pTHA-lh", "NAc-lh"]
    names = tmp_path / "labels.txt"
    names.write_text("\n".join(words))
    numbers = {"hippocampus": (5, 1), "amygdala": (6, 2), "accumbens": (8, 4)}
    image = aseg(tmp_path / "tian.nii.gz", numbers=numbers)
    labels = np.asarray(nib.load(image).dataobj).copy()
    box(labels, (-8, -20, 8), 7), box(labels, (8, -20, 8), 3)
    found = read_limbic_labels(write(tmp_path / "t.nii.gz", labels), limbic_table=names)
    by_number = read_limbic_labels(aseg(tmp_path / "aseg.nii.gz"))
    assert np.array_equal(found.labels, by_number.labels)

    # Parts that are named need no cut, and the setting says that it is not used.
    cut = np.where(labels == 1, 9, labels)
    cut[found.labels == GROWN.index("R_posterior_hippocampus") + 1] = 10
    cut[found.labels == GROWN.index("L_posterior_hippocampus") + 1] = 11
    cut = np.where(cut == 9, 1, cut)
    parts = ["aHIP-rh", *words[1:4], "aHIP-lh", *words[5:], "x", "pHIP-rh", "pHIP-lh"]
    (tmp_path / "parts.txt").write_text("\n".join(parts))
    cut[2, 2, 2] = 9
    named = read_limbic_labels(
        write(tmp_path / "parts.nii.gz", cut), limbic_table=tmp_path / "parts.txt"
    )
    assert np.array_equal(named.labels, by_number.labels)
    assert "not used" in named.notes[0]

    with pytest.raises(InputError, match="taken for FreeSurfer's, and it has none of 17, 18"):
        read_limbic_labels(image)
    names.write_text("\n".join(word.replace("AMY", "thing") for word in words))
    with pytest.raises(InputError, match="no label is called like L_amygdala, R_amygdala"):
        read_limbic_labels(tmp_path / "t.nii.gz", limbic_table=names)


def grayordinates_of(path):
    """Read rows by nibabel alone, as an oracle's input."""
    axis = nib.load(path).header.get_axis(1)
    names = tuple(dict.fromkeys(name.removeprefix("CIFTI_STRUCTURE_") for name in axis.name))
    structure = np.array([names.index(n.removeprefix("CIFTI_STRUCTURE_")) for n in axis.name])
    is_vertex = axis.vertex >= 0
    voxel = np.where(is_vertex[:, None], -1, axis.voxel)
    return Grayordinates(
        structures=names,
        structure=structure.astype(np.int16),
        vertex=np.where(is_vertex, axis.vertex, -1).astype(np.int32),
        voxel=voxel.astype(np.int32),
        affine=np.asarray(axis.affine),
    )


def test_structures_that_a_cifti_file_names(connectrial_data):
    rows = grayordinates_of(next((connectrial_data / "cifti").glob("*.dtseries.nii")))
    found = limbic_rows(rows)
    counts = dict(zip(GROWN, np.bincount(found, minlength=9)[1:], strict=True))
    # Voxels of the structures in the standard 91,282 grayordinates.
    assert (counts["L_amygdala"], counts["R_amygdala"]) == (315, 332)
    assert (counts["L_accumbens"], counts["R_accumbens"]) == (135, 140)
    assert counts["L_anterior_hippocampus"] + counts["L_posterior_hippocampus"] == 764
    assert counts["R_anterior_hippocampus"] + counts["R_posterior_hippocampus"] == 795
    assert min(counts.values()) > 100
    cortex = Atlas(
        name="c",
        parcels=atlas_table("Gordon333"),
        grayordinates=rows,
        row_labels=np.where(rows.vertex >= 0, 1, 0).astype(np.int32),
    )
    subcortex = load_atlas("Seitzman300").parcels.query("structure != 'cortex'")
    atlas = add_subcortex(cortex, subcortex)
    label = atlas.parcels.loc["L_amygdala", "index"]
    assert (atlas.row_labels == label).sum() == 315
    assert atlas.is_sphere.sum() == 53
    surface = Grayordinates(
        structures=("CORTEX_LEFT",),
        structure=np.zeros(2, dtype=np.int16),
        vertex=np.arange(2, dtype=np.int32),
        voxel=np.full((2, 3), -1, dtype=np.int32),
    )
    with pytest.raises(InputError, match="have no AMYGDALA_LEFT, AMYGDALA_RIGHT"):
        limbic_rows(surface)


def test_the_real_atlases(connectrial_data, monkeypatch, tmp_path):
    folder = connectrial_data / "atlas"
    tian = folder / "Tian_Subcortex_S2_3T_2009cAsym.nii.gz"
    atlas = load_atlas(
        SIEGEL,
        image=folder / "gordon333MNI.nii.gz",
        limbic_image=tian,
        limbic_table=folder / "Tian_Subcortex_S2_3T_label.txt",
    )
    labels = np.asarray(nib.load(tian).dataobj)
    names = (folder / "Tian_Subcortex_S2_3T_label.txt").read_text().split()
    for node, parts in (
        ("L_amygdala", ["lAMY-lh", "mAMY-lh"]),
        ("R_accumbens", ["NAc-shell-rh", "NAc-core-rh"]),
        ("L_posterior_hippocampus", ["pHIP-lh"]),
    ):
        expected = np.isin(labels, [names.index(part) + 1 for part in parts])
        assert np.array_equal(atlas.labels == atlas.parcels.loc[node, "index"], expected)
    # As fetched: the files of the registry are these very files.
    home = tmp_path / "home" / "atlases" / "TianS2"
    home.mkdir(parents=True)
    for file in (tian.name, "Tian_Subcortex_S2_3T_label.txt"):
        (home / file).write_bytes((folder / file).read_bytes())
    monkeypatch.setenv("CONNECTRIAL_HOME", str(tmp_path / "home"))
    fetched = load_atlas("TianS2", space="MNI152NLin2009cAsym")
    assert len(fetched.parcels) == 32
    assert fetched.parcels.loc["aHIP-rh", "hemisphere"] == "R"
    (home / tian.name).write_bytes(tian.read_bytes()[:-100])
    with pytest.raises(InputError, match="is not the file that was published"):
        load_atlas("TianS2", space="MNI152NLin2009cAsym")


def test_a_list_of_spheres_of_ones_own(tmp_path):
    path = tmp_path / "seeds.tsv"
    path.write_text("label\tnetwork\tx\ty\tz\nsgACC\tDMN\t0\t21\t-10\nPCC\tDMN\t0\t-52\t26\n")
    assert not load_atlas(
        "seeds", table=path
    ).is_sphere.any()  # only names: nothing states a radius
    atlas = load_atlas("seeds", table=path, radius_mm=5)
    assert atlas.is_sphere.all()
    assert atlas.parcels.loc["sgACC", ["x_mm", "y_mm", "z_mm", "radius_mm"]].tolist() == [
        0,
        21,
        -10,
        5,
    ]
    path.write_text(
        "label\tx_mm\ty_mm\tz_mm\tradius_mm\nsgACC\t0\t21\t-10\t5\nPCC\t0\t-52\t26\t8\n"
    )
    assert load_atlas("seeds", table=path).parcels["radius_mm"].tolist() == [5, 8]
    path.write_text("index\tlabel\n1\tA\n")
    with pytest.raises(InputError, match="no columns x_mm, y_mm, z_mm"):
        load_atlas("seeds", table=path, radius_mm=5)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("Seitzmann300", {}, "there is no atlas 'Seitzmann300'; did you mean 'Seitzman300'"),
        ("Gordon333", {"radius_mm": 5}, "radius_mm belongs to spheres"),
        ("Power264", {"radius_mm": 0}, "above 0 and up to 50"),
        ("Power264", {"limbic_image": "x"}, "belong to the atlas 'Gordon333\\+Seitzman-subcortex'"),
        (SIEGEL, {"limbic_table": "x"}, "give limbic_image too"),
        ("Power264", {"name_column": "x"}, "give table too"),
    ],
)
def test_settings_that_do_not_fit(name, settings, said):
    with pytest.raises(InputError, match=said):
        load_atlas(name, **settings)


def test_the_list_tells_what_is_there(offline):
    listed = list_atlases().set_index("name")
    assert list(listed.index) == list(known_atlases())
    assert listed.loc["Seitzman300", "where"] == "built in"
    assert listed.loc[SIEGEL, "parcels"] == 394
    assert listed.loc["Schaefer400+TianS2", "parcels"] == 432
    assert "connectrial fetch Gordon333" in listed.loc["Gordon333", "where"]
    assert listed["licence"].str.len().min() > 0
    registry = read_registry()
    assert not registry.duplicated(["name", "role", "space"]).any()
    assert registry["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    # A pinned address names a commit, not a branch that may move.
    assert registry["address"].str.contains("/[0-9a-f]{40}/").all()
