"""
One run: from image to connectivity
===================================

A simulated run has head motion, tissue signals and slow drifts in its image. Denoising by 36
parameters takes them away again; how much remains can be told, because the truth is known.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import pandas as pd

import connectrial
from connectrial.figures.matrices import plot_matrices
from connectrial.simulate import LIMBIC, SGACC

trial = connectrial.simulate_trial(seed=1)
image = next(trial.images())
print(f"sub-{image.subject} ses-{image.session} run-{image.run}: {image.data.shape}")

# %%
# Parcel means are read from a file, frame by frame, so that memory does not grow with the run.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "bold.nii.gz"
    nifti = nib.Nifti1Image(image.data, image.affine)
    nifti.header.set_zooms((6, 6, 6, image.repetition_time_s))
    nifti.header.set_xyzt_units("mm", "sec")
    nib.save(nifti, path)
    series = connectrial.extract_time_series(path, trial.atlas)

# %%
# Frames with too much motion are censored. They stay in the series, but have no say in anything.

fd_mm = image.confounds["framewise_displacement"].to_numpy()
kept = connectrial.censor_frames(fd_mm, max_fd_mm=0.5, min_contiguous_frames=5)
series = replace(series, kept=kept)
print(f"{series.n_kept} of {len(kept)} frames are kept: {series.kept_minutes:.1f} minutes")

fig, ax = plt.subplots(figsize=(7, 2.2), layout="constrained")
ax.plot(fd_mm, color="0.3", lw=1)
ax.plot([i for i, k in enumerate(kept) if not k], fd_mm[~kept], "o", ms=4, color="#b5423c")
ax.axhline(0.5, color="0.6", lw=1, ls="--")
ax.set(xlabel="frame", ylabel="framewise\ndisplacement, mm", title="Censored frames in red")

# %%
# Three ways to clean the run, against what is true of this session.

systems = {
    "Default": {"within": trial.atlas.network("Default")},
    "sgACC-Default": {"between_rest": (SGACC, trial.atlas.network("Default"))},
    "limbic": {"within": LIMBIC},
    "Visual": {"within": trial.atlas.network("Vis")},
}
mine = trial.truth_scans.query("subject == @image.subject and session == @image.session")
truth = mine.set_index("name")["fc_z"]
table = {"true": {name: truth[name] for name in systems}}
matrices = {}
for strategy in ("none", "24P", "36P"):
    clean = connectrial.denoise(series, image.confounds, strategy=strategy, band_hz=None)
    fc = connectrial.correlate_parcels(clean)
    table[strategy] = {name: connectrial.network_fc(fc, **edges) for name, edges in systems.items()}
    matrices[f"{strategy}: {clean.remaining_df} df left"] = pd.DataFrame(
        fc.z, index=fc.parcels, columns=fc.parcels
    )
pd.DataFrame(table).round(3)

# %%
# Motion parameters alone leave the signals of tissue in; with them (36P) network FC comes close
# to the truth, at the price of degrees of freedom.

figure = plot_matrices(matrices, trial.atlas.parcels["network"].to_dict(), label="Fisher z")
