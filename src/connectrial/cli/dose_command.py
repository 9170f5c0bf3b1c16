"""The command that computes what a dose plan amounts to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connectrial.cli.printing import open_console, print_table


def dose(
    regimen: Annotated[
        str | None,
        typer.Argument(metavar="REGIMEN", help="Shipped dose plan, or a TOML, TSV, CSV, XLSX file"),
    ] = None,
    model: Annotated[str, typer.Option(help="Compartment model; --list names them")] = "otto2021",
    weight_kg: Annotated[float, typer.Option(help="Weight, where no table gives it")] = 70.0,
    times: Annotated[
        str | None, typer.Option(help="Times to print, such as 40min,80min,24h,5d")
    ] = None,
    above: Annotated[float | None, typer.Option(help="Count the hours above so many ng/ml")] = None,
    occupancy: Annotated[
        str,
        typer.Option(
            help="Assumed receptor block: a name (--list), or 'ic50=500, hill=1.2' in ng/ml"
        ),
    ] = "siegel2021",
    people: Annotated[int, typer.Option(help="Draw so many people; shows how they differ")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the draws", min=0)] = 0,
    cv: Annotated[
        str | None,
        typer.Option(help="Spread of the clearance, percent, or 'model'; default 30, a stand-in"),
    ] = None,
    scans: Annotated[str | None, typer.Option(help="Times that the figure marks")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for tables, settings, figure")] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="List dose plans, models and assumed blocks")
    ] = False,
) -> None:
    """Compute concentrations, exposure and assumed receptor block of a dose plan.

    Example: connectrial dose ketamine-0.5mgkg-40min --times 40min,80min,24h --people 200

    Own plan (mg/kg and hours): a table with start_h, duration_h (0: bolus) and amount_mg_kg or
    rate_mg_kg_h; with subject and weight_kg, one plan for each person:
    connectrial dose doses.tsv --model kamp2020 --out doses
    """
    from connectrial.errors import InputError
    from connectrial.run.dose_tables import answer_tables, save_dose
    from connectrial.run.dosing import compute_dose, list_choices

    console = open_console()
    if show_list:
        for title, table in list_choices().items():
            print_table(console, table, title=title)
        return
    if regimen is None:
        raise InputError("REGIMEN: name a dose plan or a file; connectrial dose --list shows plans")
    answer = compute_dose(
        regimen, model=model, weight_kg=weight_kg, times=times, above_ng_ml=above, occupancy=occupancy,
        n_people=people, seed=seed, clearance_cv=cv, scans=scans,
    )  # fmt: skip
    for name, text in answer.facts.items():
        console.print(f"{name}: {text}", markup=False, soft_wrap=True)
    for title, table in answer_tables(answer):
        print_table(console, table, title=title)
    if out is not None:
        from connectrial.report.figure_files import figure_bytes

        written = save_dose(answer, out, render=figure_bytes)
        console.print(f"Wrote {', '.join(path.name for path in written)} in {out}", soft_wrap=True)
