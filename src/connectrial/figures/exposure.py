"""Concentrations over time, the doses above them and the assumed receptor block below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from connectrial.figures.lines import fitted_names
from connectrial.figures.palette import (
    INK,
    LEVELS,
    LINES,
    MUTED,
    figure_of,
    level_colours,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ANALYTES = ("ketamine", "norketamine")
_THIN = 0.9


@styled
def plot_concentration(
    curve: pd.DataFrame,
    doses: pd.DataFrame,
    *,
    occupancy: Sequence[float] | None = None,
    occupancy_label: str = "assumed block",
    interval: pd.DataFrame | None = None,
    people: pd.DataFrame | None = None,
    measured: pd.DataFrame | None = None,
    scans_h: Mapping[str, float] | None = None,
) -> Figure:
    """Draw doses, concentrations and the assumed block, one above the other.

    Parameters
    ----------
    curve : pandas.DataFrame
        ``time_h``, ``ketamine_ng_ml``, ``norketamine_ng_ml`` of a typical person; with a column
        ``level`` one typical person of each dose, a colour each.
    doses : pandas.DataFrame
        ``start_h``, ``duration_h``, ``amount_mg_kg``; infusions are bars as high as their rate, a
        bolus is an arrow with its amount. Without rows the strip is left out.
    occupancy : sequence of float, optional
        Assumed block at each time of `curve`, fractions; the lowest panel, which is left out
        without it.
    occupancy_label : str
        Its axis; must say that it is assumed.
    interval : pandas.DataFrame, optional
        ``time_h``, ``analyte``, ``low_ng_ml``, ``high_ng_ml``; shaded.
    people : pandas.DataFrame, optional
        ``subject``, ``time_h``, ``ketamine_ng_ml``: a thin line each.
    measured : pandas.DataFrame, optional
        ``time_h``, ``analyte``, ``value_ng_ml``: points.
    scans_h : mapping of str to float, optional
        Name of a scan or visit -> hours; dotted lines.
    """
    axes = _stack(len(doses) > 0, occupancy is not None)
    main = axes["main"]
    times = curve["time_h"].to_numpy(dtype=float)
    doses_apart = "level" in curve
    if doses_apart:
        _draw_levels(main, curve, people)
    for number, analyte in enumerate(() if doses_apart else _ANALYTES):
        colour = LEVELS[number]
        values = curve[f"{analyte}_ng_ml"].to_numpy(dtype=float)
        if not np.isfinite(values).any():
            continue
        if interval is not None:
            own = interval.loc[interval["analyte"] == analyte]
            main.fill_between(
                own["time_h"], own["low_ng_ml"], own["high_ng_ml"], color=colour, alpha=0.18,
                linewidth=0,
            )  # fmt: skip
        if people is not None and analyte == "ketamine":
            for _, own in people.groupby("subject", sort=False):
                main.plot(
                    own["time_h"], own["ketamine_ng_ml"], color=MUTED, linewidth=_THIN, alpha=0.5
                )
        main.plot(
            times, values, color=colour, linestyle=LINES[number], linewidth=1.8, label=analyte
        )
        if measured is not None:
            own = measured.loc[measured["analyte"] == analyte]
            main.plot(own["time_h"], own["value_ng_ml"], "o" if number == 0 else "s", color=colour,
                      markersize=3.5, alpha=0.8)  # fmt: skip
    main.set_ylabel("plasma concentration (ng/ml)")
    main.set_ylim(bottom=0)
    if "doses" in axes:
        _draw_doses(axes["doses"], doses)
    lowest = main
    if occupancy is not None:
        lowest = axes["occupancy"]
        lowest.plot(times, 100 * np.asarray(occupancy, dtype=float), color=LEVELS[2], linewidth=1.8)
        lowest.set_ylabel(f"{occupancy_label} (%)")
        lowest.set_ylim(0, 100)
    for ax in axes.values():
        ax.grid(axis="y")
        for hours in (scans_h or {}).values():
            ax.axvline(hours, color=MUTED, linestyle=(0, (1.5, 1.5)), linewidth=1.0)
    lowest.set_xlabel("hours")
    # A scan at the very end needs room for its name.
    main.set_xlim(float(times.min()), float(times.max()) + 0.02 * float(np.ptp(times)))
    level = _name_scans(main, scans_h or {})
    above = 1.07 if level else 1.0
    main.legend(loc="lower right", bbox_to_anchor=(1.0, above), ncols=6 if doses_apart else 2)
    return figure_of(main)


def _draw_levels(ax: Axes, curve: pd.DataFrame, people: pd.DataFrame | None) -> None:
    """Draw each dose in its own colour, norketamine dashed."""
    seen = set(curve["level"].astype(str))
    for level, colour in level_colours(dose_levels(curve)).items():
        if level not in seen:
            continue
        if people is not None and "level" in people:
            mine = people.loc[people["level"].astype(str) == level]
            for _, own in mine.groupby("subject", sort=False):
                ax.plot(
                    own["time_h"], own["ketamine_ng_ml"], color=colour, linewidth=_THIN, alpha=0.3
                )
        own = curve.loc[curve["level"].astype(str) == level]
        for number, analyte in enumerate(_ANALYTES):
            if own[f"{analyte}_ng_ml"].notna().any():
                ax.plot(
                    own["time_h"], own[f"{analyte}_ng_ml"], color=colour, linestyle=LINES[number],
                    linewidth=1.8, label=level if number == 0 else None,
                )  # fmt: skip
    if curve["norketamine_ng_ml"].notna().any():
        ax.plot([], [], color=MUTED, linestyle=LINES[1], linewidth=1.8, label="norketamine")


def dose_levels(rows: pd.DataFrame) -> list[str]:
    """Return every level that a dose may have, in order; arms without one keep their colour."""
    column = rows["level"]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(level) for level in column.cat.categories]
    return list(dict.fromkeys(column.astype(str)))


def _stack(with_doses: bool, with_occupancy: bool) -> dict[str, Axes]:  # noqa: FBT001 - private
    names = [*(["doses"] if with_doses else []), "main", *(["occupancy"] if with_occupancy else [])]
    share = {"doses": 0.55, "main": 2.2, "occupancy": 1.1}
    options: Any = {"sharex": True, "height_ratios": [share[name] for name in names]}
    _, axes = new_axes(
        width=7.2,
        height=0.9 + 1.15 * sum(share[name] for name in names),
        rows=len(names),
        **options,
    )
    return dict(zip(names, axes, strict=True))


def _draw_doses(ax: Axes, doses: pd.DataFrame) -> None:
    infused = doses.loc[doses["duration_h"] > 0]
    rates = infused["amount_mg_kg"] / infused["duration_h"]
    ax.bar(
        infused["start_h"], rates, width=infused["duration_h"], align="edge", color=MUTED, alpha=0.45,
        edgecolor=INK, linewidth=0.6,
    )  # fmt: skip
    top = float(rates.max()) if len(rates) else 1.0
    ax.set_ylim(0, 1.25 * top)
    for row in doses.loc[doses["duration_h"] == 0].to_dict("records"):
        start = float(row["start_h"])
        ax.annotate(
            f"{row['amount_mg_kg']:g} mg/kg", xy=(start, 0), xytext=(start, top), fontsize=8, ha="left",
            va="top", arrowprops={"arrowstyle": "->", "color": INK},
        )  # fmt: skip
    if len(rates):
        ax.set_ylabel("dose\n(mg/kg/h)")
    else:
        ax.set_yticks([])
        ax.set_ylabel("dose")


def _name_scans(ax: Axes, scans_h: Mapping[str, float]) -> bool:
    """Write each scan's name above its line, else along it; tell whether above."""
    long = ax.get_position().width * float(figure_of(ax).get_figwidth())
    first, last = ax.get_xlim()
    shown = {name: hours for name, hours in scans_h.items() if first <= hours <= last}
    share = float(np.ptp(list(shown.values()))) / (last - first) if shown else 0.0
    words, turned = fitted_names(list(shown), list(shown.values()), inches=share * long, lines=1)
    if shown and not turned:
        for name, hours in zip(words, shown.values(), strict=True):
            ax.text(
                hours, 1.01, name, transform=ax.get_xaxis_transform(), ha="center", va="bottom",
                fontsize=8, color=MUTED,
            )  # fmt: skip
        return True
    # Names that stand along their lines stand above the curves.
    ax.set_ylim(top=ax.get_ylim()[1] * (1.3 if scans_h else 1.0))
    for name, hours in scans_h.items():
        ax.text(
            hours, 1.0, f" {name}", transform=ax.get_xaxis_transform(), rotation=90,
            ha="right" if hours > ax.get_xlim()[0] + 0.04 * np.ptp(ax.get_xlim()) else "left",
            va="top", fontsize=8, color=MUTED,
        )  # fmt: skip
    return False
