"""Which frames survive: each rule by hand, and laws that hold for all of them together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.fc.censoring import censor_frames


def frames(text: str) -> np.ndarray:
    return np.array([character == "#" for character in text])


def fd_of(text: str) -> np.ndarray:
    """Return FD of 0.5 mm where the text has an x, else 0.1; none for the first frame."""
    fd_mm = np.array([0.5 if character == "x" else 0.1 for character in text])
    fd_mm[0] = np.nan
    return fd_mm


@pytest.mark.parametrize(
    ("fd", "options", "kept"),
    [
        ("....x.....", {}, "####.#####"),
        ("....x.....", {"n_before": 1, "n_after": 2}, "###....###"),
        (".x......x.", {"n_before": 3, "n_after": 3}, ".........."),
        ("..x...x...", {"min_contiguous_frames": 3}, "...###.###"),
        ("..x...x...", {"min_contiguous_frames": 4}, ".........."),
        ("....x.....", {"n_dummy_frames": 2}, "..##.#####"),
        ("....x.....", {"n_dummy_frames": 2, "min_contiguous_frames": 3}, ".....#####"),
        ("..........", {"n_dummy_frames": 2, "n_after": 3}, "..########"),
    ],
)
def test_rules_by_hand(fd, options, kept):
    assert (censor_frames(fd_of(fd), max_fd_mm=0.2, **options) == frames(kept)).all()


def test_no_limit_keeps_everything_and_the_limit_itself_is_allowed():
    fd_mm = np.array([np.nan, 0.2, 0.2000001, 9.0])
    assert censor_frames(fd_mm).all()
    assert censor_frames(fd_mm, max_fd_mm=0.2).tolist() == [True, True, False, False]


def test_dvars_joins_motion():
    fd_mm = fd_of("..x...")
    std_dvars = np.array([np.nan, 1.0, 1.0, 1.0, 1.6, 1.5])
    kept = censor_frames(fd_mm, max_fd_mm=0.2, std_dvars=std_dvars, max_std_dvars=1.5)
    assert (kept == frames("##.#.#")).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_fd_mm": 0}, "positive"),
        ({"n_before": -1}, "n_before"),
        ({"n_after": 1.5}, "n_after"),
        ({"min_contiguous_frames": 0}, "min_contiguous_frames"),
        ({"max_std_dvars": 1.5}, "no std_dvars"),
        ({"max_std_dvars": 1.5, "std_dvars": np.ones(3)}, "must have 5 values"),
    ],
)
def test_refuses(options, said):
    with pytest.raises(InputError, match=said):
        censor_frames(fd_of("....."), **options)


def test_a_frame_without_a_value_is_not_guessed():
    fd_mm = np.array([np.nan, np.nan, 0.1, 0.1])
    with pytest.raises(InputError, match="missing in 1 frames"):
        censor_frames(fd_mm, max_fd_mm=0.2)
    kept = censor_frames(fd_mm, max_fd_mm=0.2, n_dummy_frames=2)
    assert (kept == frames("..##")).all()


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
    st.floats(0.05, 1),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(1, 6),
    st.integers(0, 4),
)
def test_laws(values, limit, n_before, n_after, shortest, n_dummy):
    """A stricter rule never keeps more; no stretch is too short; no kept frame is bad."""
    fd_mm = np.array(values)
    options = {"n_before": n_before, "n_after": n_after, "n_dummy_frames": n_dummy}
    strict = censor_frames(fd_mm, max_fd_mm=limit, min_contiguous_frames=shortest, **options)
    assert not (strict & ~censor_frames(fd_mm, max_fd_mm=limit, **options)).any()
    looser = censor_frames(fd_mm, max_fd_mm=limit * 2, min_contiguous_frames=shortest, **options)
    assert not (strict & ~looser).any()
    assert (fd_mm[strict] <= limit).all()
    assert not strict[:n_dummy].any()
    lengths = [len(part) for part in "".join("#" if k else " " for k in strict).split()]
    assert all(length >= shortest for length in lengths)
