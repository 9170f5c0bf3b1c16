"""BIDS names apart and together, and labels in tables matched with labels on disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.io.bids import bids_name, parse_entities
from connectrial.io.names import (
    ENTITY_ORDER,
    bids_label,
    match_label,
    natural_key,
    normalise_session,
    normalise_subject,
)


@pytest.mark.parametrize(
    ("name", "entities"),
    [
        (
            "sub-01_ses-pre1_task-rest_run-2_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz",
            {"sub": "01", "ses": "pre1", "task": "rest", "run": "2", "space": "MNI152NLin6Asym",
             "desc": "preproc", "suffix": "bold", "extension": ".nii.gz"},
        ),
        ("task-rest_bold.json", {"task": "rest", "suffix": "bold", "extension": ".json"}),
        ("sub-01.html", {"sub": "01", "suffix": "", "extension": ".html"}),
        ("participants.tsv", {"suffix": "participants", "extension": ".tsv"}),
        ("a/b/sub-1_ses-A 1_T1w", {"sub": "1", "ses": "A 1", "suffix": "T1w", "extension": ""}),
        ("sub-1_ses-a_1_T1w.nii", {"sub": "1", "ses": "a_1", "suffix": "T1w", "extension": ".nii"}),
        ("sub-a-b_bold.nii", {"sub": "a-b", "suffix": "bold", "extension": ".nii"}),
    ],
)  # fmt: skip
def test_parse_entities(name, entities):
    assert parse_entities(name) == entities


def test_the_order_is_that_of_xcp_d():
    """XCP-D 26.1, xcp_d/data/xcp_d_bids_config.json, patterns of timeseries and relmat."""
    entities = {
        "desc": "300volumes", "stat": "pearsoncorrelation", "atlas": "4S156Parcels", "res": "2",
        "space": "MNI152NLin2009cAsym", "run": "1", "dir": "AP", "task": "rest", "ses": "a",
        "sub": "01", "acq": "mb", "rec": "norm", "cohort": "1",
    }  # fmt: skip
    assert bids_name(entities, suffix="relmat", extension=".tsv") == (
        "sub-01_ses-a_task-rest_acq-mb_dir-AP_rec-norm_run-1_space-MNI152NLin2009cAsym_cohort-1_"
        "atlas-4S156Parcels_res-2_stat-pearsoncorrelation_desc-300volumes_relmat.tsv"
    )


def test_none_is_passed_over_and_odd_characters_left_out():
    entities = {"sub": "01", "ses": None, "run": "pre_1", "suffix": "x", "extension": "y"}
    assert bids_name(entities, suffix="bold", extension=".json") == "sub-01_run-pre1_bold.json"


@pytest.mark.parametrize(
    "entities",
    [{"ses": "1"}, {"sub": "1", "seg": "x"}, {"sub": "--"}, {"sub": "1", "ses": "_"}, {}],
)
def test_names_that_cannot_be(entities):
    with pytest.raises(InputError):
        bids_name(entities, suffix="bold", extension=".json")


@given(
    st.dictionaries(
        st.sampled_from(ENTITY_ORDER[1:]), st.from_regex(r"[A-Za-z0-9+]{1,6}", fullmatch=True)
    )
)
def test_names_come_back(entities):
    """Law: parse(name(entities)) == entities for labels that BIDS allows."""
    entities["sub"] = "01"
    name = bids_name(entities, suffix="timeseries", extension=".tsv")
    assert parse_entities(name) == entities | {"suffix": "timeseries", "extension": ".tsv"}


@pytest.mark.parametrize(
    ("label", "known", "expected"),
    [
        ("sub-01", ["01", "02"], "01"),
        ("01", ["01", "02"], "01"),
        ("1", ["01", "02"], "01"),
        ("1.0", ["01", "02"], "01"),
        ("001", ["01", "02"], "01"),
        (" SUB-01 ", ["01"], "01"),
        ("1", ["1", "01"], "1"),
        ("10", ["1", "01"], "10"),
        ("TRD-001", ["TRD001", "TRD002"], "TRD001"),
        ("trd001", ["TRD001"], "TRD001"),
        ("A1", ["A01"], "A1"),
        ("0A", ["A"], "0A"),
        ("sub-1", ["sub-1", "1"], "sub-1"),
        ("0", ["000", "1"], "000"),
        ("7", ["01"], "7"),
        ("sub-7", [], "7"),
    ],
)
def test_subjects(label, known, expected):
    assert normalise_subject(label, known=known) == expected


@pytest.mark.parametrize(
    ("label", "known", "expected"),
    [
        ("ses-pre1", ["pre1", "pre2"], "pre1"),
        ("Pre 1", ["pre1", "pre2"], "pre1"),
        ("PRE_1", ["pre1", "pre2"], "pre1"),
        ("pre_1", ["pre_1", "pre1"], "pre_1"),
        ("Pre", ["pre", "Pre"], "Pre"),
        ("2", ["01", "02"], "02"),
        ("V-02", ["v02", "v2"], "v02"),
        ("month 6", ["baseline"], "month 6"),
    ],
)
def test_sessions(label, known, expected):
    assert normalise_session(label, known=known) == expected


@pytest.mark.parametrize(
    ("label", "known", "words"),
    [("001", ["1", "01"], ["sub-01", "sub-1"]), ("a b", ["ab", "AB"], ["sub-AB", "sub-ab"])],
)
def test_two_that_fit_are_refused(label, known, words):
    with pytest.raises(InputError) as caught:
        normalise_subject(label, known=known)
    for word in words:
        assert word in str(caught.value)


def test_bending_is_told_taking_off_the_prefix_is_not():
    assert match_label("sub-01", known=["01"], prefix="sub-").note is None
    assert "sub-01" in (match_label("1", known=["01"], prefix="sub-").note or "")


@given(st.lists(st.from_regex(r"[A-Za-z0-9]{1,4}", fullmatch=True), min_size=1, unique=True))
def test_what_is_on_disk_is_always_itself(known):
    """Law: a label on disk, with or without its prefix, never becomes another."""
    for label in known:
        assert normalise_subject(label, known=known) == label
        assert normalise_session(f"ses-{label}", known=known) == label


def test_natural_order():
    labels = ["10", "2", "pre10", "pre2", "1", None]
    assert sorted(labels, key=natural_key) == [None, "1", "2", "10", "pre2", "pre10"]


def test_bids_label():
    assert bids_label("Pre 1_b+c-d.ü") == "Pre1b+cd"
