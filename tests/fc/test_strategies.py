"""Which columns a strategy stands for, over the namings of fMRIPrep 20 to 25."""

import pytest

from connectrial.errors import InputError
from connectrial.fc.strategies import (
    BLOCKS,
    STRATEGIES,
    check_strategy,
    describe_strategies,
    find_strategy,
    resolve_confounds,
)

MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
SUFFIXES = ["", "_derivative1", "_power2", "_derivative1_power2"]
COLUMNS = [
    *(name + suffix for name in MOTION for suffix in SUFFIXES),
    *(name + suffix for name in ("csf", "white_matter", "global_signal") for suffix in SUFFIXES),
    *(f"{tissue}_comp_cor_{number:02d}" for tissue in "acwt" for number in range(12)),
    *(f"cosine{number:02d}" for number in range(4)),
    *(f"aroma_motion_{number:02d}" for number in (1, 4, 17)),
    "framewise_displacement",
    "std_dvars",
]


@pytest.mark.parametrize(
    ("strategy", "n_columns"),
    [
        ("none", 0),
        ("6P", 6),
        ("12P", 12),
        ("24P", 24),
        ("36P", 36),
        ("24P+aCompCor", 34),
        ("9P", 9),
        ("32P", 32),
        ("24P+aCompCor+GSR4", 38),
        ("6P+WM+CSF2+GSR4", 13),
        ("24P+AROMA", 27),
    ],
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


def test_blocks_make_up_the_named_strategies():
    """Law: the same confounds, whether named or put together."""
    for name, blocks in {
        "36P": "24P+WM4+CSF4+GSR4",
        "32P": "24P+CSF4+WM4",
        "9P": "6P+GSR+WM+CSF",
        "24P+aCompCor+GSR4": "GSR4+aCompCor+24P",
    }.items():
        assert set(resolve_confounds(COLUMNS, name)) == set(resolve_confounds(COLUMNS, blocks))
    for name, block in BLOCKS.items():
        assert find_strategy(name).columns == block.columns
    assert "global signal" in find_strategy("6P+GSR").reason


def test_components_are_taken_up_to_half_the_variance():
    metadata = {}
    for tissue, shares in {"w": [0.2, 0.35, 0.499, 0.51, 0.6], "c": [0.7, 0.8]}.items():
        for number, share in enumerate(shares):
            metadata[f"{tissue}_comp_cor_{number:02d}"] = {"CumulativeVarianceExplained": share}
    columns = [*COLUMNS[:24], *metadata]
    options = {"band_hz": (0.01, 0.1)}
    resolved = resolve_confounds(columns, "24P+aCompCor50", metadata=metadata, **options)
    # The one that crosses a half is in; of CSF the first does so alone.
    assert resolved[24:] == [*(f"w_comp_cor_{n:02d}" for n in range(4)), "c_comp_cor_00"]
    with pytest.raises(InputError, match="JSON does not say what 'w_comp_cor_00' explains"):
        resolve_confounds(columns, "24P+aCompCor50", **options)
    with pytest.raises(InputError, match="w_comp_cor_00, c_comp_cor_00"):
        resolve_confounds(COLUMNS[:24], "24P+aCompCor50", metadata=metadata, **options)


@pytest.mark.parametrize(
    ("strategy", "band_hz", "said"),
    [
        ("AROMA+GSR", None, "averaged before AROMA took motion out"),
        ("AROMA+36P", (0.01, 0.1), "averaged before AROMA took motion out"),
        ("24P+cosine", (0.009, 0.08), "a high-pass twice"),
        ("24P+cosine+aCompCor", (0.009, float("inf")), "a high-pass twice"),
        ("24P+6P", None, "'trans_x'; each block"),
        ("36P+GSR", None, "confounds of 'GSR' twice, as 'global_signal'"),
        ("aCompCor+aCompCor", None, "twice"),
        ("aCompCor+aCompCor50", None, "CompCor twice"),
        ("24P+wm", None, "blocks joined"),
    ],
)
def test_combinations_that_undo_themselves_are_refused_with_the_reason(strategy, band_hz, said):
    with pytest.raises(InputError, match=said):
        check_strategy(strategy, band_hz=band_hz)
    with pytest.raises(InputError, match=said):
        resolve_confounds(COLUMNS, strategy, band_hz=band_hz)


def test_all_reasons_come_at_once_and_what_is_right_passes():
    with pytest.raises(InputError) as caught:
        check_strategy("AROMA+GSR+cosine", band_hz=(0.01, 0.1))
    assert "AROMA took motion out" in str(caught.value)
    assert "high-pass twice" in str(caught.value)
    for strategy, band_hz in [
        ("AROMA+WM+CSF", (0.01, 0.1)),
        ("24P+cosine", (0.0, 0.1)),
        ("24P+cosine", None),
        *((name, (0.009, 0.08)) for name in STRATEGIES),
    ]:
        check_strategy(strategy, band_hz=band_hz)
    assert resolve_confounds(COLUMNS, "6P+cosine")[6:] == [f"cosine{n:02d}" for n in range(4)]


def test_asked_for_columns_that_no_table_has_are_named():
    with pytest.raises(InputError, match="aroma_motion_01"):
        resolve_confounds(COLUMNS[:36], "6P+AROMA")
    with pytest.raises(InputError, match="cosine00"):
        resolve_confounds(COLUMNS[:36], "6P+cosine")


def test_strategies_are_described():
    table = describe_strategies()
    assert list(table.index) == list(STRATEGIES)
    assert table.loc["36P", "n_confounds"] == 36
    assert table.loc["24P+aCompCor", "n_confounds"] == 34
    assert table["n_confounds"].isna().sum() == 1
    assert set(table.index[table["global_signal"]]) == {"36P", "9P", "24P+aCompCor+GSR4"}
    assert list(table.index[table["recommended"]]) == ["36P"]
    assert (table["reason"].str.len() > 40).all()
