"""
A mixed model with missing visits
=================================

Patients are scanned before and after treatment, but not all of them come back. A mixed model uses
every scan there is; which degrees of freedom its tests get is a choice, shown here side by side.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd

import connectrial

trial = connectrial.simulate_trial(seed=4)
default = trial.atlas.network("Default")

# %%
# Network FC of every patient's session: runs are joined over kept frames, then correlated.

runs: dict[tuple[str, str, str], list] = {}
for scan in trial.scans:
    if scan.visit != "control":
        fd_mm = scan.motion["framewise_displacement"].to_numpy()
        kept = connectrial.censor_frames(fd_mm, max_fd_mm=0.5)
        series = replace(scan.series, kept=kept)
        runs.setdefault((scan.subject, scan.session, scan.visit), []).append(series)
rows = [
    (*key, connectrial.network_fc(connectrial.correlate_parcels(series), within=default))
    for key, series in runs.items()
]
sessions = pd.DataFrame(rows, columns=["subject", "session", "visit", "fc_z"])

# %%
# Two sessions before treatment are one visit. Visits are ordered, never alphabetical: else "post"
# would come before "pre" and every sign would flip.

visits = sessions.groupby(["subject", "visit"], as_index=False)["fc_z"].mean()
visits["visit"] = pd.Categorical(visits["visit"], categories=["pre", "post"], ordered=True)
response = trial.truth_scans.drop_duplicates("subject").set_index("subject")["response"]
visits["response"] = pd.Categorical(
    visits["subject"].map(response), categories=["responder", "non-responder"]
)
pd.crosstab(visits["response"].astype(str), visits["visit"])

# %%
# People without a known response drop out of this model and are counted; people without a second
# scan stay in it.

fit = connectrial.fit_mixed("fc_z ~ visit * response + (1 | subject)", visits)
print(fit)

# %%
# The same fit under other degrees of freedom. Nothing is fitted again.

methods = ["residual", "between-within", "satterthwaite", "kenward-roger-expected"]
term = "visit[post]"
side_by_side = pd.DataFrame({method: fit.with_df(method).estimates.loc[term] for method in methods})
side_by_side.loc[["estimate", "se", "df", "p", "ci_low", "ci_high"]].astype(float).round(4)

# %%
# Marginal means, each in the unit of FC.

means = fit.marginal_means(["visit", "response"])
means[["visit", "response", "estimate", "se", "df", "ci_low", "ci_high"]].round(3)

# %%

fig, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
order = ["pre", "post"]
for group, colour in (("responder", "#1f6f8b"), ("non-responder", "#b5633c")):
    mine = visits[visits["response"] == group]
    for _, person in mine.groupby("subject"):
        person = person.sort_values("visit")
        ax.plot(person["visit"].cat.codes, person["fc_z"], ".-", color=colour, alpha=0.3, lw=0.8)
    mean = mine.groupby("visit", observed=False)["fc_z"].mean()
    ax.plot([0, 1], mean[order], "o-", color=colour, lw=2.5, label=group)
ax.set(xticks=[0, 1], xticklabels=order, ylabel="Default within, Fisher z", xlim=(-0.3, 1.3))
ax.legend(frameon=False)
