"""A run frame by frame: motion and signal jumps above, every parcel as a row below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from connectrial.data import BoolArray, FloatArray
from connectrial.figures.palette import INK, MUTED, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CENSORED = "#d55e00"
_WIDTH, _TRACE, _CARPET = 7.2, 0.75, 2.1
#: Standard deviations that reach from grey to white or black.
REACH = 2.5


@styled
def plot_carpet(
    panels: Sequence[tuple[str, FloatArray]],
    *,
    fd_mm: FloatArray | None,
    dvars: FloatArray | None,
    kept: BoolArray,
    networks: Sequence[str],
    repetition_time_s: float | None = None,
    max_fd_mm: float | None = None,
    title: str = "",
    mark: str = "",
) -> Figure:
    """Draw a run's parcels over time, with displacement and DVARS above and censored frames marked.

    Parameters
    ----------
    panels : sequence of (title, array)
        Carpets from top to bottom, such as before and after denoising: each array of shape
        (n_frames, n_parcels), standardised; NaN is left white.
    fd_mm, dvars : array, shape (n_frames,), or None
        Traces; one that is not known is left out.
    kept : array of bool, shape (n_frames,)
        Frames that are not kept are marked.
    networks : sequence of str
        Network of each parcel, "" where it has none; parcels are drawn network by network, in order
        of first appearance.
    repetition_time_s : float, optional
        Seconds between frames; without it the axis counts frames.
    max_fd_mm : float, optional
        Limit that is drawn into the displacement.
    title, mark : str
        Head of the figure, and a mark at its foot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    traces = [
        (name, values)
        for name, values in (("FD (mm)", fd_mm), ("DVARS", dvars))
        if values is not None
    ]
    heights = [_TRACE] * len(traces) + [_CARPET] * len(panels)
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.28 * len(heights) + 0.6))
    axes: list[Any] = list(
        figure.subplots(
            len(heights), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights}
        ).ravel()
    )
    tall = figure.get_figheight()
    figure.subplots_adjust(
        left=0.135, right=0.985, top=1 - 0.42 / tall, bottom=0.45 / tall, hspace=0.22
    )
    seconds = repetition_time_s or 1.0
    time: FloatArray = np.arange(len(kept), dtype=np.float64) * seconds
    for ax, (name, values) in zip(axes, traces, strict=False):
        _trace(ax, time, values, name=name, kept=kept, seconds=seconds)
        if name.startswith("FD") and max_fd_mm is not None:
            ax.axhline(max_fd_mm, color=_CENSORED, linewidth=0.9, linestyle=(0, (4, 2)))
    order, bounds, names = by_network(networks)
    for ax, (name, values) in zip(axes[len(traces) :], panels, strict=True):
        _carpet(ax, values[:, order], time=time, seconds=seconds, name=name)
        _label_networks(ax, bounds, names)
    axes[-1].set_xlabel("time (s)" if repetition_time_s else "frame")
    n_out = int((~kept).sum())
    figure.suptitle(
        f"{title}   {n_out} of {len(kept)} frames censored (orange)".strip(),
        x=0.135, y=1 - 0.1 / tall, ha="left", va="top", fontsize=9.5,
    )  # fmt: skip
    if mark:
        figure.text(0.985, 0.008, mark, ha="right", va="bottom", fontsize=7, color=MUTED)
    return figure


def _trace(
    ax: Axes, time: FloatArray, values: FloatArray, *, name: str, kept: BoolArray, seconds: float
) -> None:
    ax.plot(time, values, color=INK, linewidth=0.8)
    for start, stop in _stretches(~kept):
        ax.axvspan(
            (start - 0.5) * seconds,
            (stop - 0.5) * seconds,
            color=_CENSORED,
            alpha=0.35,
            linewidth=0,
        )
    ax.set_ylabel(name, fontsize=8)
    ax.set_ylim(bottom=0)
    ax.tick_params(labelsize=7.5, labelbottom=False)


def _carpet(ax: Axes, values: FloatArray, *, time: FloatArray, seconds: float, name: str) -> None:
    ax.imshow(
        values.T,
        aspect="auto",
        cmap="gray",
        vmin=-REACH,
        vmax=REACH,
        interpolation="nearest",
        extent=(time[0] - seconds / 2, time[-1] + seconds / 2, values.shape[1], 0),
    )
    ax.set_title(name, fontsize=8.5, fontweight="normal", pad=2)
    ax.tick_params(labelsize=7.5)


def _label_networks(ax: Axes, bounds: Sequence[int], names: Sequence[str]) -> None:
    """Name networks at their middle, the smallest only where there is room."""
    total = bounds[-1]
    for edge in bounds[1:-1]:
        ax.axhline(edge, color=_CENSORED, linewidth=0.35, alpha=0.7)
    shown = [
        ((low + high) / 2, name)
        for low, high, name in zip(bounds, bounds[1:], names, strict=False)
        if (high - low) / total >= 0.055
    ]
    ax.set_yticks([at for at, _ in shown], [name[:14] or "none" for _, name in shown])
    ax.tick_params(axis="y", length=0, labelsize=7)


def by_network(networks: Sequence[str]) -> tuple[np.ndarray[Any, Any], list[int], list[str]]:
    """Return the order of parcels, where each network begins and ends, and the names."""
    names = list(dict.fromkeys(networks))
    code = np.array([names.index(name) for name in networks], dtype=np.intp)
    order = np.argsort(code, kind="stable")
    return order, [0, *np.cumsum(np.bincount(code, minlength=len(names))).tolist()], names


def _stretches(flags: BoolArray) -> list[tuple[int, int]]:
    steps = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))
