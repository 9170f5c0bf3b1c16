"""What a dose plan amounts to: tables for a terminal; files and a figure for a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.io.files import write_atomic
from connectrial.io.outputs import write_table
from connectrial.io.provenance import write_json
from connectrial.run.dosing import DoseAnswer, time_words


def answer_tables(answer: DoseAnswer) -> list[tuple[str, pd.DataFrame]]:
    """Lay an answer out for a terminal: one table of times, one of measures."""
    shown = answer.concentrations.copy()
    shown.insert(int(answer.per_person), "time", shown.pop("time_h").map(time_words))
    if shown["norketamine_ng_ml"].isna().all():
        shown = shown.drop(columns="norketamine_ng_ml")
    for column in ("ketamine_ng_ml", "norketamine_ng_ml"):
        if column in shown:
            shown[column] = shown[column].map(_plain_number)
    shown["assumed_block"] = (100 * shown["assumed_block"]).map("{:.0f} %".format)
    if answer.interval is not None:
        own = answer.interval.loc[answer.interval["analyte"] == "ketamine"].set_index("time_h")
        here = own.loc[answer.concentrations["time_h"]]
        shown["ketamine 90 % of people"] = [
            f"{_plain_number(low)} to {_plain_number(high)}"
            for low, high in zip(here["low_ng_ml"], here["high_ng_ml"], strict=True)
        ]
    names = {"ketamine_ng_ml": "ketamine (ng/ml)", "norketamine_ng_ml": "norketamine (ng/ml)"}
    shown = shown.rename(columns={**names, "assumed_block": "assumed block"})
    measures = answer.exposure.assign(value=answer.exposure["value"].map(_plain_number))
    if answer.per_person:
        wide = measures.loc[measures["measure"].isin(["peak", "average", "auc", "final"])]
        label = wide["analyte"] + " " + wide["measure"] + " (" + wide["unit"] + ")"
        measures = wide.assign(label=label).pivot_table(
            index="subject", columns="label", values="value", aggfunc="first", sort=False
        )
        measures = measures.reset_index().rename_axis(columns=None)
        return [("Exposure", measures)]
    return [("Concentrations", shown), ("Exposure", measures)]


def _plain_number(value: float) -> str:
    """Write a number to three digits, whole numbers whole, never with an exponent."""
    if not np.isfinite(value):
        return ""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.01 or value == 0 else "<0.01"


def save_dose(answer: DoseAnswer, output_dir: Path, *, render: Callable[..., bytes]) -> list[Path]:
    """Write tables, settings and the figure.

    Parameters
    ----------
    answer : DoseAnswer
        What was computed.
    output_dir : Path
        Folder; made where it is not there.
    render : callable
        Turns a figure, an ending and a name into a file's bytes.

    Returns
    -------
    list of Path
        ``concentrations.tsv``, ``curve.tsv``, ``exposure.tsv``, perhaps ``interval.tsv``,
        ``dose.json``, ``concentrations.svg`` and ``.png``.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"--out: {output_dir} is a file; name a folder")
    tables: Sequence[tuple[str, pd.DataFrame | None]] = (
        ("concentrations", answer.concentrations),
        ("curve", answer.curve),
        ("exposure", answer.exposure),
        ("interval", answer.interval),
    )
    written = []
    for name, table in tables:
        if table is not None:
            written.append(output_dir / f"{name}.tsv")
            write_table(written[-1], table)
    written.append(output_dir / "dose.json")
    write_json(written[-1], {**answer.facts, "settings": dict(answer.settings)})
    figure = draw_answer(answer)
    figure.set_facecolor("white")
    for ending in ("svg", "png"):
        written.append(output_dir / f"concentrations.{ending}")
        write_atomic(written[-1], render(figure, ending, name="concentrations"))
    return written


def draw_answer(answer: DoseAnswer) -> Any:  # noqa: ANN401 - matplotlib stays lazy
    """Return the figure of an answer."""
    from connectrial.figures.exposure import plot_concentration

    label = f"assumed block\n({answer.settings['occupancy']})"
    if answer.per_person:
        typical = answer.curve.groupby("time_h", as_index=False).median(numeric_only=True)
        return plot_concentration(
            typical, answer.doses.iloc[:0], people=answer.curve,
            occupancy=list(typical["assumed_block"]), occupancy_label=label, scans_h=answer.scans_h,
        )  # fmt: skip
    return plot_concentration(
        answer.curve, answer.doses, occupancy=list(answer.curve["assumed_block"]),
        occupancy_label=label, interval=answer.interval, scans_h=answer.scans_h,
    )  # fmt: skip
