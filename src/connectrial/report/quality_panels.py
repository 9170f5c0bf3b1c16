"""Figures of scan quality beyond single measures: regions, and motion in connectivity."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.figures.motion_effects import plot_qc_fc
from connectrial.figures.quality import plot_quality
from connectrial.report.panel import Panel
from connectrial.report.source import places, table
from connectrial.results import Results

_BIN_R, _BINS_DISTANCE = 0.05, 12
_FEWEST_IN_BIN = 20
_REST = "other regions"
_REGIONAL = {
    "sd_after": "temporal SD of the signal FC rests on",
    "mean_signal": "mean signal",
    "tsnr": "temporal SNR",
}


def region_panels(results: Results) -> list[Panel]:
    """Draw signal and SD in the study's own sets beside the mean of the networks, by visit."""
    listed = table(results, "region_quality")
    own = [str(name) for name in (results.study.get("sets") or {})]
    if listed is None or not own:
        return []
    is_own = listed["region"].isin(own)
    measures = [name for name in _REGIONAL if listed[name].notna().any()]
    rest = listed[~is_own].groupby(["subject", "session", "visit"], observed=True, sort=False)
    others = rest[measures].mean().reset_index().assign(region=_REST)
    together = pd.concat([listed[is_own], others], ignore_index=True)
    order = [visit for visit in places(results) if (together["visit"].astype(str) == visit).any()]
    panels = []
    for measure in measures:
        words = _REGIONAL[measure]
        panels.append(
            Panel(
                name=f"region {measure}",
                title=f"{words[0].upper()}{words[1:]}, by region",
                how="Dots are scans, bars their medians. A set whose signal or SD changes between "
                "visits changes its FC for that alone.",
                alt=f"{words} of {', '.join(own)} and of the other regions, by visit.",
                figure=plot_quality(
                    together.rename(columns={measure: words}),
                    measure=words,
                    visits=order,
                    by="region",
                    levels=[*own, _REST],
                ),
                data=together[["subject", "session", "visit", "region", measure]],
                methods="One value for each scan and region, from the scans' own tables of quality.",
            )
        )
    return panels


def qc_fc_panel(results: Results) -> Panel | None:
    """Draw the edges' correlations with motion, beside what chance gives and over distance."""
    listed = table(results, "qcfc")
    if listed is None:
        return None
    listed = listed.assign(visit=listed["visit"].astype(str))
    listed = listed[listed["r"].notna()]
    samples = list(dict.fromkeys(listed["visit"]))
    histogram = pd.concat([_histogram(listed[listed["visit"] == one], one) for one in samples])
    near = [_by_distance(listed[listed["visit"] == one], one) for one in samples]
    placed = [one for one in near if len(one)]
    how = (
        "Each edge's correlation with mean displacement over the people of a visit; 'within people' "
        "compares visits of the same person. The dashed line is what unrelated motion would give: a "
        "broader or shifted shape is motion left in FC."
    )
    if placed:
        how += (
            " Below, r by the distance of the parcels (median, half and nine tenths of the edges): "
            "artefact is typically positive at short distance and falls with it."
        )
    medians = [
        f"{one}: median |r| {listed.loc[listed['visit'] == one, 'r'].abs().median():.2f}"
        for one in samples
    ]
    return Panel(
        name="qc fc",
        title="Motion in connectivity (QC-FC)",
        how=how,
        alt=f"Histograms of edges' correlations with motion. {'; '.join(medians)}.",
        methods="Pearson's correlation of each edge's FC with mean displacement over people, one "
        "value per edge; densities are histograms.",
        figure=plot_qc_fc(histogram, pd.concat(placed) if placed else None, samples=samples),
        data=histogram,
        min_width_px=160 * min(len(samples), 5),
    )


def _histogram(own: pd.DataFrame, sample: str) -> pd.DataFrame:
    from scipy.special import betaln

    edges = np.linspace(-1, 1, round(2 / _BIN_R) + 1)
    density, _ = np.histogram(own["r"], bins=edges, density=True)
    middle = (edges[1:] + edges[:-1]) / 2
    # Density of r without relation: that of a t with df degrees of freedom, as a correlation.
    df = float(own["df"].median())
    log_density = (df / 2 - 1) * np.log1p(-(middle**2)) - betaln(0.5, df / 2)
    return pd.DataFrame(
        {"sample": sample, "r": middle, "density": density, "expected": np.exp(log_density)}
    )


def _by_distance(own: pd.DataFrame, sample: str) -> pd.DataFrame:
    known = own[own["distance_mm"].notna()]
    if known.empty or known["distance_mm"].min() == known["distance_mm"].max():
        return pd.DataFrame()
    bins = pd.cut(known["distance_mm"], _BINS_DISTANCE)
    grouped = known.groupby(bins, observed=True)["r"]
    shares = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
    rows = pd.DataFrame({name: grouped.quantile(share) for name, share in shares.items()})
    rows["distance_mm"] = [interval.mid for interval in rows.index]
    rows = rows[(grouped.size() >= _FEWEST_IN_BIN).to_numpy()]
    return rows.reset_index(drop=True).assign(sample=sample)
