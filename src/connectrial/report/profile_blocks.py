"""Maps over parcels on the page: before, after and the difference, and the same by network."""

from __future__ import annotations

import pandas as pd

from connectrial.figures.profiles import ProfileRow, plot_profiles
from connectrial.report.blocks import Block, figure_block, notes_of, table_block
from connectrial.report.cells import plain_table
from connectrial.report.network_panels import parcel_centres
from connectrial.report.panel import Panel
from connectrial.report.source import table
from connectrial.results import Result, Results
from connectrial.trial.visits import CONTROLS


def profile_blocks(results: Results, result: Result) -> list[Block]:
    """Show one map over parcels; why there is none, where there is none."""
    every = table(results, "profiles")
    own = None if every is None else every.loc[every["map"].astype(str) == result.name]
    blocks = [Block(kind="heading", title=result.title, name=result.role)]
    if own is not None and len(own):
        blocks += figure_block(_panel(results, result, own))
        shown = _by_network(own)
        caption = "Mean over the parcels of each network, the seed's own left out (Fisher z)"
        data = own.drop(columns=["map"])
        blocks.append(
            table_block(
                plain_table(shown, caption=caption), data=data, name=f"profile {result.name}"
            )
        )
    if result.notes:
        blocks.append(Block(kind="notes", text=notes_of(result)))
    return blocks


def _titles(own: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Name each map of a profile: means in the order of visits, then changes."""
    found = {}
    for what in ("mean", "change"):
        part = own.loc[own["what"] == what]
        for visit, mine in part.groupby("visit", sort=False, observed=True):
            n = int(mine["n_subjects"].max())
            before = str(mine["from_visit"].iloc[0])
            words = "mean of controls" if visit == CONTROLS else f"mean at {visit}"
            words = words if what == "mean" else f"mean change, {before} to {visit}"
            found[what, str(visit)] = f"{words} ({n} people)"
    return found


def _panel(results: Results, result: Result, own: pd.DataFrame) -> Panel | None:
    centres = parcel_centres(results)
    if centres is None:
        return None
    rows = []
    for (what, visit), title in _titles(own).items():
        mine = own.loc[(own["what"] == what) & (own["visit"].astype(str) == visit)]
        values = pd.to_numeric(mine.set_index(mine["parcel"].astype(str))["fc_z"])
        scale = "Fisher z" if what == "mean" else "change of z"
        rows.append(ProfileRow(title=title, values=values, scale=scale))
    is_seed = own["in_seed"].astype(str).str.lower() == "true"
    seed = set(own.loc[is_seed, "parcel"].astype(str))
    ringed = seed if len(seed) < own["parcel"].nunique() else set()
    lost = sorted(set(own["parcel"].astype(str)) - set(centres.index))
    more = f" {len(lost)} parcels have no known place and are left out." if lost else ""
    return Panel(
        name=f"profile {result.name}",
        title=f"{result.title}: every parcel",
        how="A dot at every parcel's centre, coloured by its connectivity with the seed; rings mark the "
        "seed. Seen from the left, the right and above; the front of the brain is on the outer side of "
        f"the side views and on top of the last. Described, not tested.{more}",
        alt=f"Parcels on the brain, {len(rows)} maps: {'; '.join(row.title for row in rows)}.",
        figure=plot_profiles(rows, centres, seed=ringed),
        methods=result.methods,
        data=own,
        min_width_px=560,
    )


def _by_network(own: pd.DataFrame) -> pd.DataFrame:
    """Average a profile over networks, one column for every map."""
    is_seed = own["in_seed"].astype(str).str.lower() == "true"
    rest = own if is_seed.all() else own.loc[~is_seed]
    rest = rest.assign(network=rest["network"].fillna("").replace("", "none"))
    columns = {}
    for (what, visit), title in _titles(own).items():
        mine = rest.loc[(rest["what"] == what) & (rest["visit"].astype(str) == visit)]
        columns[title] = mine.groupby("network", sort=True)["fc_z"].mean()
    sizes = rest.groupby("network", sort=True)["parcel"].nunique().rename("parcels")
    return pd.concat([sizes, pd.DataFrame(columns)], axis=1).rename_axis("network").reset_index()
