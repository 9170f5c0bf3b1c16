"""
Test-retest reliability
=======================

Two sessions before treatment tell how far FC can be trusted in one person: intraclass correlations
after Shrout and Fleiss, and the change that a single person must show to exceed measurement error.
"""

from dataclasses import replace

import pandas as pd

import connectrial
from connectrial.figures.reliability import plot_retest
from connectrial.stats.reliability import repeatability

trial = connectrial.simulate_trial(seed=3)
default = trial.atlas.network("Default")

# %%
# FC of the first two sessions of every patient who has both. Frames with motion are censored, the
# runs of a session are joined.

runs: dict[tuple[str, str], list] = {}
for scan in trial.scans:
    if scan.session in ("pre1", "pre2"):
        fd_mm = scan.motion["framewise_displacement"].to_numpy()
        kept = connectrial.censor_frames(fd_mm, max_fd_mm=0.5)
        runs.setdefault((scan.subject, scan.session), []).append(replace(scan.series, kept=kept))
scores = pd.DataFrame(
    [
        (*key, connectrial.network_fc(connectrial.correlate_parcels(series), within=default))
        for key, series in runs.items()
    ],
    columns=["subject", "session", "fc_z"],
)

# %%
# All six coefficients. People with one session only are left out and counted.

table = connectrial.icc(scores, targets="subject", raters="session", scores="fc_z")
table[["estimate", "ci_low", "ci_high", "n_subjects", "n_left_out"]].round(3)

# %%
# Measurement error in the unit of the score: a person's change below ``sdc_agreement`` could be
# noise alone.

error = repeatability(scores, targets="subject", raters="session", scores="fc_z")
error[["estimate", "ci_low", "ci_high"]].round(3)

# %%

pairs = scores.pivot(index="subject", columns="session", values="fc_z").dropna()
agreement = table.loc["ICC(2,1)"]
figure = plot_retest(
    pairs,
    first="pre1",
    second="pre2",
    title="Default within",
    subtitle=f"ICC(2,1) = {agreement['estimate']:.2f} "
    f"[{agreement['ci_low']:.2f}, {agreement['ci_high']:.2f}]",
)
