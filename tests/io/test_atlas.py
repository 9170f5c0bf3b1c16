"""Atlases: what tables, label images and names say, and each way in which they contradict."""

import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError
from connectrial.io.atlas import atlas_from_names, read_atlas

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
TABLE = "index\tlabel\tnetwork_label\tarea\n1\tA\tDefault\t1.5\n2\tB\tNone\t2\n300\tC\tn/a\t3\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "atlas-x_dseg.tsv"
    path.write_text(TABLE)
    return path


def label_image(folder, values, *, dtype=np.int16, name="atlas-x_dseg.nii.gz"):
    labels = np.zeros((4, 4, 4), dtype=dtype)
    labels.flat[: len(values)] = values
    path = folder / name
    nib.save(nib.Nifti1Image(labels, AFFINE), path)
    return path


def test_image_and_table(tmp_path, table):
    image = label_image(tmp_path, [300, 300, 1, 2])
    atlas = read_atlas("x", image=image, table=table)
    assert list(atlas.parcels.index) == ["A", "B", "C"]
    assert atlas.parcels["index"].tolist() == [1, 2, 300]
    assert atlas.parcels["area"].tolist() == [1.5, 2.0, 3.0]
    assert list(atlas.network("None")) == ["B"]  # a network's name, not a missing value
    assert atlas.parcels["network"].isna().tolist() == [False, False, True]
    assert atlas.labels.dtype == np.int32
    assert (atlas.labels == 300).sum() == 2
    assert np.array_equal(atlas.affine, AFFINE)


def test_table_alone_image_alone(tmp_path, table):
    assert read_atlas("x", table=table).labels is None
    alone = read_atlas("x", image=label_image(tmp_path, [7, 300], dtype=np.float32))
    assert list(alone.parcels.index) == ["7", "300"]
    assert alone.parcels["index"].tolist() == [7, 300]
    assert alone.parcels["network"].isna().all()


def test_columns_can_be_chosen_and_names_fall_back_to_the_index(table):
    chosen = read_atlas("x", table=table, name_column="area", network_column="label")
    assert list(chosen.parcels.index) == ["1.5", "2", "3"]
    assert chosen.parcels["network"].tolist() == ["A", "B", "C"]
    table.write_text("index\tnetwork\n117\tDefault\n279\tDefault\n")
    numbered = read_atlas("x", table=table)
    assert list(numbered.network("Default")) == ["117", "279"]
    assert numbered.parcels["index"].tolist() == [117, 279]


def test_label_lists(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("aHIP-rh\npHIP-rh\n\n")
    plain = read_atlas("x", table=path).parcels
    assert list(plain.index) == ["aHIP-rh", "pHIP-rh"]
    path.write_text("aHIP-rh\n5 144 246 45 255\npHIP-rh\n9 34 165 59 255\n")
    pairs = read_atlas("x", table=path).parcels
    assert list(pairs.index) == ["aHIP-rh", "pHIP-rh"]
    assert plain["index"].tolist() == [1, 2]
    assert pairs["index"].tolist() == [5, 9]


def test_a_background_row_is_no_parcel(table):
    table.write_text("index\tlabel\n0\tBackground\n1\tA\n")
    assert list(read_atlas("x", table=table).parcels.index) == ["A"]
    table.write_text("index\tlabel\n0\tA\n1\tB\n")
    with pytest.raises(InputError, match="'A' has index 0"):
        read_atlas("x", table=table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TABLE.replace("300", "1"), "line 4: index 1 occurs twice"),
        (TABLE.replace("300", "x"), "line 4: index must be a whole number; got 'x'"),
        (TABLE.replace("300", "1.5"), "got '1.5'"),
        (TABLE.replace("\tC", "\tA"), "names these parcels more than once: A"),
        (TABLE.replace("\tC", "\t"), "line 4: the parcel has no name"),
        ("index\tlabel\n1\tA\textra\n", "not a readable table"),
        ("index\tlabel\tlabel\n1\tA\tB\n", "'label' occurs twice"),
        ("x\ty\n1\t2\n", "neither parcel names"),
        ("", "not a readable table"),
    ],
)
def test_tables_that_are_refused(table, text, said):
    table.write_text(text)
    with pytest.raises(InputError, match=said):
        read_atlas("x", table=table)


def test_absent_columns_and_files(tmp_path, table):
    with pytest.raises(InputError, match="no column 'nets' for networks; it has index, label"):
        read_atlas("x", table=table, network_column="nets")
    with pytest.raises(InputError, match="no such atlas table"):
        read_atlas("x", table=tmp_path / "other.tsv")
    with pytest.raises(InputError, match="no such image"):
        read_atlas("x", image=tmp_path / "other.nii.gz")
    with pytest.raises(InputError, match="an image, a table or both"):
        read_atlas("x")


@pytest.mark.parametrize(
    ("values", "dtype", "said"),
    [
        ([1, 2, 300, 4], np.int16, "1 labels have no row in .*: 4"),
        ([1, 300], np.int16, "1 rows have no voxel in .*: 2"),
        ([1, 2, 44], np.uint8, "44(.|\n)*300"),  # 300 kept in 8 bits: both problems at once
        ([1, 2, -128], np.int8, "8-bit integers and wrapped around"),
        ([1, 2, 2.5], np.float32, "whole numbers only"),
        ([1, 2, np.nan], np.float32, "whole numbers only"),
    ],
)
def test_images_that_are_refused(tmp_path, table, values, dtype, said):
    image = label_image(tmp_path, values, dtype=dtype)
    with pytest.raises(InputError, match=said):
        read_atlas("x", image=image, table=table)


def test_images_of_other_dimensions(tmp_path):
    path = tmp_path / "four.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3, 2), np.int16), AFFINE), path)
    with pytest.raises(InputError, match="3-D image is needed"):
        read_atlas("x", image=path)
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3, 1), np.int16), AFFINE), path)
    assert read_atlas("x", image=path).labels.shape == (3, 3, 3)
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), AFFINE), path)
    with pytest.raises(InputError, match="empty"):
        read_atlas("x", image=path)


@pytest.mark.parametrize("reader", ["isal", "zlib"])
def test_a_damaged_label_image_is_noticed(tmp_path, monkeypatch, reader):
    """The image is larger than any reader's buffer, so its end comes after its last voxel."""
    if reader == "zlib":
        for module in ("isal", "isal.igzip"):
            monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / "labels.nii.gz"
    values = np.random.default_rng(0).integers(0, 3, (70, 70, 70)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum, where nibabel does not look
    path.write_bytes(bytes(content))
    assert np.array_equal(nib.load(path).get_fdata(), values)
    with pytest.raises(InputError, match="damaged"):
        read_atlas("x", image=path)


def test_networks_out_of_schaefers_names():
    names = [
        "7Networks_LH_Default_PFC_1",
        "17Networks_RH_SalVentAttnA_ParMed_2",
        "LH_Vis_1",
        "pGP-lh",
        "aHIP-rh",
        "Left_Thalamus",
    ]
    parcels = atlas_from_names("x", pd.Index(names)).parcels
    assert parcels["network"].tolist()[:3] == ["Default", "SalVentAttnA", "Vis"]
    assert parcels["network"].isna().tolist() == [False] * 3 + [True] * 3
    assert parcels["hemisphere"].tolist()[:5] == ["L", "R", "L", "L", "R"]
    assert atlas_from_names("x", pd.Index(names), networks=None).parcels.isna().all(axis=None)
    plain = pd.Index(["p1", "p2"])
    assert atlas_from_names("x", plain).parcels["network"].isna().all()
    with pytest.raises(InputError, match="'p1'"):
        atlas_from_names("x", plain, networks="schaefer")
    with pytest.raises(InputError, match="'gordon'"):
        atlas_from_names("x", plain, networks="gordon")
    with pytest.raises(InputError, match="more than once"):
        atlas_from_names("x", pd.Index(["p1", "p1"]))


def test_published_atlases(connectrial_data):
    folder = connectrial_data / "atlas"
    gordon = read_atlas(
        "Gordon333", image=folder / "gordon333MNI.nii.gz", table=folder / "atlas-Gordon333_dseg.tsv"
    )
    counts = gordon.parcels["network"].value_counts()
    assert (counts["Default"], counts["None"], counts["Visual"]) == (41, 47, 39)
    assert {"117", "279"} <= set(gordon.network("Default"))
    stages = read_atlas(
        "Schaefer300TianS2",
        table=connectrial_data / "stages" / "atlas-Schaefer300TianS2_dseg.tsv",
        network_column="network_7",
    )
    by_name = atlas_from_names("x", stages.parcels.index)
    pd.testing.assert_series_equal(
        stages.parcels["network"], by_name.parcels["network"], check_names=False
    )
    tian = read_atlas(
        "TianS2",
        image=folder / "Tian_Subcortex_S2_3T_2009cAsym.nii.gz",
        table=folder / "Tian_Subcortex_S2_3T_label.txt",
    )
    assert len(tian.parcels) == 32
