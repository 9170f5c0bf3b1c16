"""What an analysis of the simulated trial should find."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

from connectrial.data import Atlas, BoolArray, FloatArray
from connectrial.simulate.atlas import LIMBIC, SGACC
from connectrial.simulate.blocks import (
    Z_ELSEWHERE,
    Z_LEVELS,
    effect_matrix,
    random_blocks,
    spread_blocks,
)
from connectrial.simulate.design import TrialDesign

SYSTEMS = ("Default", "sgACC-Default", "limbic", "Visual")


def edge_weights(atlas: Atlas, lost: BoolArray | None = None) -> dict[str, FloatArray]:
    """Return, for every system and pair of networks, the weights whose sum over z is its mean.

    Each is (n_parcels, n_parcels), zero on and below the diagonal, and sums to 1; edges of parcels
    in ``lost`` weigh nothing. The four systems come first.
    """
    names, network = atlas.parcels.index, atlas.parcels["network"]
    sets: dict[str, BoolArray] = {n: (network == n).to_numpy() for n in dict.fromkeys(network)}
    sgacc, limbic = names.isin(SGACC), names.isin(LIMBIC)
    pairs: dict[str, tuple[BoolArray, BoolArray]] = {
        "Default": (sets["Default"], sets["Default"]),
        "sgACC-Default": (sgacc, sets["Default"] & ~sgacc),
        "limbic": (limbic, limbic),
        "Visual": (sets["Vis"], sets["Vis"]),
    }
    pairs |= {f"{a}-{b}": (sets[a], sets[b]) for a, b in combinations_with_replacement(sets, 2)}
    here = np.ones(len(names), dtype=bool) if lost is None else ~lost
    weights = {}
    for name, (one, other) in pairs.items():
        block = np.outer(one & here, other & here)
        upper = np.triu(block | block.T, k=1).astype(float)
        weights[name] = upper / upper.sum() if upper.any() else np.full_like(upper, np.nan)
    return weights


def true_effects(
    atlas: Atlas, *, design: TrialDesign, sessions: pd.DataFrame, special: dict[str, str]
) -> pd.DataFrame:
    """Return what each analysis of the four systems should find."""
    controls = spread_blocks(Z_LEVELS, atlas, otherwise=Z_ELSEWHERE)
    parts = {
        w: effect_matrix(design, atlas, w) for w in ("patients", "responders", "non_responders")
    }
    code, scale = random_blocks(atlas)
    member = np.eye(len(scale))[code]
    usable = sessions[
        (sessions["visit"] == "post") & (sessions["scan"] != special.get("high motion"))
    ]
    share = (usable["response"] == "responder").mean() if len(usable) else np.nan
    variance = design.subject_sd**2 + design.session_sd**2
    weights = edge_weights(atlas)
    rows: list[tuple[str, str, str, float, str, str]] = []
    for name in SYSTEMS:
        level = float((weights[name] * controls).sum())
        patients, yes, no = (float((weights[name] * part).sum()) for part in parts.values())
        blocks = member.T @ weights[name] @ member
        blocks = (np.triu(blocks) + np.tril(blocks, k=-1).T) * scale
        spread = float(np.sqrt((blocks**2).sum()))
        subject_sd, session_sd = spread * design.subject_sd, spread * design.session_sd
        after = patients + share * yes + (1 - share) * no
        found: dict[tuple[str, str], tuple[float, str]] = {
            ("time_by_response", "Intercept"): (level + patients, "patients before treatment"),
            ("time_by_response", "time"): (yes, "change in responders, who are coded 0"),
            ("time_by_response", "time:response"): (no - yes, "how non-responders differ in it"),
            ("time_by_response", "response"): (0.0, "no difference before treatment"),
            ("time_by_response", "sd_subject"): (subject_sd, "over people"),
            ("time_by_response", "sd_session"): (session_sd, "over sessions, true values"),
            ("patients_vs_controls", "controls"): (level, "mean of controls"),
            ("patients_vs_controls", "before"): (patients, "patients minus controls"),
            ("patients_vs_controls", "after"): (after, "at this trial's share of responders"),
            ("reliability", "icc"): (
                design.subject_sd**2 / variance if variance else np.nan,
                "one session, true values: finite scans show less",
            ),
        }
        for (model, term), (value, note) in found.items():
            rows.append((name, model, term, value, "1" if term == "icc" else "z", note))
    about = "MADRS at week 2 at least 50 % below baseline, among those who have that score"
    rows.append(("MADRS", "response", "n_responders", float(design.n_responders), "people", about))
    return pd.DataFrame(rows, columns=["name", "model", "term", "value", "unit", "note"])


def truth_of_scans(
    sessions: pd.DataFrame, z: FloatArray, *, atlas: Atlas, lost: BoolArray
) -> pd.DataFrame:
    """Return every session's true mean z of each system and pair of networks."""
    weights = edge_weights(atlas)
    flat = np.stack([w.ravel() for w in weights.values()])
    n_edges = (flat > 0).sum(axis=1)
    means = z.reshape(len(z), -1) @ flat.T
    covered = means.copy()
    for i in np.flatnonzero(lost.any(axis=1)):
        cut = np.stack([w.ravel() for w in edge_weights(atlas, lost[i]).values()])
        covered[i] = cut @ z[i].ravel()
    keys = ["subject", "session", "visit", "response"]
    repeated = sessions.loc[sessions.index.repeat(len(weights)), keys].reset_index(drop=True)
    return repeated.assign(
        name=np.tile(list(weights), len(sessions)),
        n_edges=np.tile(n_edges, len(sessions)),
        fc_z=means.ravel(),
        fc_z_covered=covered.ravel(),
    )
