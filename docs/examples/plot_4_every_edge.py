"""
Every edge at once
==================

No hypothesis: the same mixed model on all 2,556 edges of the atlas, its p values adjusted over all
of them. The truth is known, so what was found can be told from what was there.
"""

import time
from dataclasses import replace

import numpy as np
import pandas as pd

import connectrial
from connectrial.figures.matrices import plot_edge_matrix
from connectrial.simulate import LIMBIC, TrialDesign

# %%
# Single edges are noisy: this trial has more people and longer runs than the one of the demo.

design = TrialDesign(
    n_patients=40, n_posts=38, n_responders=20, n_controls=0, n_repeat_controls=0, n_frames=300
)
trial = connectrial.simulate_trial(design, seed=4)
parcels = trial.atlas.parcels.index
first, second = np.triu_indices(len(parcels), k=1)

# %%
# One row per session, one column per edge. Frames with motion are censored.

runs: dict[tuple[str, str, str], list] = {}
for scan in trial.scans:
    fd_mm = scan.motion["framewise_displacement"].to_numpy()
    series = replace(scan.series, kept=connectrial.censor_frames(fd_mm, max_fd_mm=0.5))
    runs.setdefault((scan.subject, scan.session, scan.visit), []).append(series)
data = pd.DataFrame(list(runs), columns=["subject", "session", "visit"])
data["visit"] = pd.Categorical(data["visit"], categories=["pre", "post"], ordered=True)
values = np.stack(
    [connectrial.correlate_parcels(series).z[first, second] for series in runs.values()]
)
print(values.shape)

# %%
# The left side of the formula is only a label.

start = time.perf_counter()
fits = connectrial.fit_edges(values, "fc_z ~ visit + (1 | subject)", data)
print(f"{values.shape[1]} models with Satterthwaite df in {time.perf_counter() - start:.2f} s")
row = fits.terms.index("visit[post]")
edges = pd.DataFrame(
    {
        "parcel_a": parcels[first],
        "parcel_b": parcels[second],
        "estimate": fits.estimate[row],
        "statistic": fits.statistic[row],
        "df": fits.df[row],
        "p_adjusted": connectrial.adjust(fits.p[row], "fdr_bh"),
    }
)

# %%
# In this trial the edges inside the default network (with the sgACC) and among the limbic parcels
# change, and no others.

network = trial.atlas.parcels["network"]
default, limbic = network.index[network == "Default"], list(LIMBIC)
pairs = edges["parcel_a"], edges["parcel_b"]
edges["changed"] = np.where(
    pairs[0].isin(default) & pairs[1].isin(default),
    "default: yes",
    np.where(pairs[0].isin(limbic) & pairs[1].isin(limbic), "limbic: yes", "elsewhere: no"),
)
edges["found"] = edges["p_adjusted"] < 0.05
groups = edges.groupby("changed")
pd.DataFrame(
    {"edges": groups.size(), "found": groups["found"].sum(), "mean": groups["estimate"].mean()}
).round(3)

# %%
# All edges below the diagonal, those that pass the adjustment above it.

figure = plot_edge_matrix(
    edges, parcels=list(parcels), networks=network.to_dict(), label="t, post - pre"
)
