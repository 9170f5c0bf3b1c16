"""Which columns a strategy stands for, over the namings of fMRIPrep 20 to 25."""

import pytest

from connectrial.errors import InputError
from connectrial.fc.strategies import STRATEGIES, resolve_confounds

MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
SUFFIXES = ["", "_derivative1", "_power2", "_derivative1_power2"]
COLUMNS = [
    *(name + suffix for name in MOTION for suffix in SUFFIXES),
    *(name + suffix for name in ("csf", "white_matter", "global_signal") for suffix in SUFFIXES),
    *(f"{tissue}_comp_cor_{number:02d}" for tissue in "acwt" for number in range(12)),
    *(f"cosine{number:02d}" for number in range(4)),
    "framewise_displacement",
    "std_dvars",
]


@pytest.mark.parametrize(
    ("strategy", "n_columns"),
    [("none", 0), ("6P", 6), ("12P", 12), ("24P", 24), ("36P", 36), ("24P+aCompCor", 34)],
)
def test_each_strategy_has_as_many_columns_as_its_name_says(strategy, n_columns):
    columns = resolve_confounds(COLUMNS, strategy, band_hz=(0.009, 0.08))
    assert len(columns) == len(set(columns)) == n_columns
    assert set(columns) <= set(COLUMNS)
    assert "framewise_displacement" not in columns


def test_strategies_nest_and_one_is_recommended():
    resolved = [set(resolve_confounds(COLUMNS, name)) for name in ("6P", "12P", "24P", "36P")]
    assert resolved[0] < resolved[1] < resolved[2] < resolved[3]
    assert resolved[0] == set(MOTION)
    assert {"csf", "white_matter", "global_signal"} <= resolved[3] - resolved[2]
    assert [s.name for s in STRATEGIES.values() if s.recommended] == ["36P"]
    assert all(strategy.reason for strategy in STRATEGIES.values())


def test_compcor_takes_five_of_each_tissue_and_cosines_only_without_a_high_pass():
    filtered = resolve_confounds(COLUMNS, "24P+aCompCor", band_hz=(0.01, 0.1))
    assert filtered[24:] == [f"{tissue}_comp_cor_{n:02d}" for tissue in "wc" for n in range(5)]
    for band_hz in (None, (0.0, 0.1)):
        with_cosines = resolve_confounds(COLUMNS, "24P+aCompCor", band_hz=band_hz)
        assert with_cosines[34:] == [f"cosine{number:02d}" for number in range(4)]


def test_older_tables_tell_the_tissue_in_their_sidecar():
    columns = [name for name in COLUMNS if not name.startswith(("c_comp", "w_comp"))]
    masks = {
        number: "combined" if number < 2 else "CSF" if number < 7 else "WM" for number in range(12)
    }
    metadata = {f"a_comp_cor_{number:02d}": {"Mask": mask} for number, mask in masks.items()}
    resolved = resolve_confounds(columns, "24P+aCompCor", band_hz=(0.01, 0.1), metadata=metadata)
    order = [7, 8, 9, 10, 11, 2, 3, 4, 5, 6]
    assert resolved[24:] == [f"a_comp_cor_{number:02d}" for number in order]
    with pytest.raises(InputError, match="w_comp_cor_00"):
        resolve_confounds(columns, "24P+aCompCor")


def test_missing_columns_are_all_named():
    with pytest.raises(InputError, match=r"rot_z, csf_power2; it has"):
        resolve_confounds([c for c in COLUMNS if c not in ("rot_z", "csf_power2")], "36P")


def test_an_unknown_strategy_gets_a_hint():
    with pytest.raises(InputError, match="did you mean '36P'"):
        resolve_confounds(COLUMNS, "36p")
