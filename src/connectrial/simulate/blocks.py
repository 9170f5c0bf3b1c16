"""True connectivity: every session's Fisher z, planned block by block."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, FloatArray
from connectrial.simulate.atlas import blocks_of
from connectrial.simulate.design import TrialDesign

# Mean Fisher z of controls within and between blocks; pairs that are not named have Z_ELSEWHERE.
Z_ELSEWHERE = 0.06
Z_LEVELS = {
    ("Default", "Default"): 0.36,
    ("Default", "sgACC"): 0.22,
    ("sgACC", "sgACC"): 0.55,
    ("Vis", "Vis"): 0.45,
    ("SomMot", "SomMot"): 0.45,
    ("SalVentAttn", "SalVentAttn"): 0.35,
    ("Cont", "Cont"): 0.35,
    ("Limbic", "Limbic"): 0.25,
    ("limbic", "limbic"): 0.20,
    ("Subcortex", "Subcortex"): 0.35,
    ("limbic", "Subcortex"): 0.12,
    ("limbic", "sgACC"): 0.10,
    ("Default", "Vis"): 0.02,
    ("Default", "SalVentAttn"): 0.0,
    ("Vis", "SomMot"): 0.18,
    ("Default", "Limbic"): 0.15,
    ("Cont", "Default"): 0.15,
}


def _block_indices(atlas: Atlas) -> tuple[NDArray[np.intp], list[str]]:
    """Return each parcel's block as a number, and the blocks' names."""
    codes, names = pd.factorize(np.array(blocks_of(atlas.parcels.index, atlas.parcels["network"])))
    return codes, list(names)


def spread_blocks(
    values: dict[tuple[str, str], float], atlas: Atlas, *, otherwise: float
) -> FloatArray:
    """Return values of pairs of blocks as an (n_parcels, n_parcels) matrix."""
    code, names = _block_indices(atlas)
    table = np.full((len(names), len(names)), otherwise)
    for (a, b), value in values.items():
        i, j = names.index(a), names.index(b)
        table[i, j] = table[j, i] = value
    return table[np.ix_(code, code)]


def effect_matrix(design: TrialDesign, atlas: Atlas, which: str) -> FloatArray:
    """Return one of the design's effects for every edge."""
    return spread_blocks(
        {e.blocks: getattr(e, which) for e in design.effects}, atlas, otherwise=0.0
    )


def random_blocks(atlas: Atlas) -> tuple[NDArray[np.intp], FloatArray]:
    """Return the blocks that vary together, and how much of the variation each pair of them has.

    The sgACC varies with the rest of its network: moved apart they soon contradict each other.
    """
    code, names = _block_indices(atlas)
    together = np.where(code == names.index("sgACC"), names.index("Default"), code)
    scale = np.full((len(names), len(names)), 0.4)
    np.fill_diagonal(scale, 1.0)
    return together, scale


def _texture(atlas: Atlas, rng: np.random.Generator) -> FloatArray:
    """Return what makes edges of a block differ: homotopy, strong and weak parcels, chance.

    Centred within every pair of blocks, so that the blocks' means stay as planned.
    """
    n = len(atlas.parcels)
    code, names = _block_indices(atlas)
    strength = rng.normal(0, 0.02, n)
    chance = np.triu(rng.normal(0, 0.02, (n, n)), k=1)
    mirror = atlas.parcels[["x", "y", "z"]].to_numpy() * (-1, 1, 1)
    twins = (mirror[:, None] == atlas.parcels[["x", "y", "z"]].to_numpy()[None]).all(axis=2)
    texture = strength[:, None] + strength[None, :] + chance + chance.T + 0.12 * twins
    np.fill_diagonal(texture, 0.0)
    off = 1.0 - np.eye(n)
    member = np.eye(len(names))[code]
    n_edges = np.maximum(member.T @ off @ member, 1.0)
    mean = (member.T @ texture @ member) / n_edges
    centred: FloatArray = (texture - mean[np.ix_(code, code)]) * off
    return centred


def draw_z(
    sessions: pd.DataFrame, atlas: Atlas, *, design: TrialDesign, rng: np.random.Generator
) -> tuple[FloatArray, int]:
    """Return every session's true Fisher z, shape (n_sessions, n_parcels, n_parcels), diagonal 0.

    The second value counts the sessions whose matrix had to be replaced by a near one.
    """
    code, scale = random_blocks(atlas)
    controls = spread_blocks(Z_LEVELS, atlas, otherwise=Z_ELSEWHERE) + _texture(atlas, rng)
    patients = effect_matrix(design, atlas, "patients")
    change = {
        "responder": effect_matrix(design, atlas, "responders"),
        "non-responder": effect_matrix(design, atlas, "non_responders"),
    }

    def draw(sd: float) -> FloatArray:
        half = np.triu(rng.normal(0, sd, scale.shape))
        return ((half + np.triu(half, k=1).T) * scale)[np.ix_(code, code)]

    person = {subject: draw(design.subject_sd) for subject in sessions["subject"].unique()}
    z = np.empty((len(sessions), len(atlas.parcels), len(atlas.parcels)))
    n_repaired = 0
    columns = (sessions[c] for c in ("subject", "visit", "response"))
    for i, (subject, visit, response) in enumerate(zip(*columns, strict=True)):
        planned = controls + person[subject] + draw(design.session_sd)
        if visit != "control":
            planned = planned + patients
        if visit == "post":
            planned = planned + change[response]
        z[i], was_repaired = possible_z(planned)
        n_repaired += was_repaired
    return z, n_repaired


def possible_z(planned: FloatArray) -> tuple[FloatArray, bool]:
    """Return Fisher z that some signals can have: the planned ones where they are possible.

    Else the eigenvalues of the correlation matrix are raised to 0.01 and the matrix rescaled.
    """
    r = np.tanh(planned)
    np.fill_diagonal(r, 1.0)
    values, vectors = np.linalg.eigh(r)
    is_repaired = bool(values[0] < 0.01)
    if is_repaired:
        r = (vectors * np.maximum(values, 0.01)) @ vectors.T
        scale = np.sqrt(np.diagonal(r))
        r = r / np.outer(scale, scale)
        r = (r + r.T) / 2
    np.fill_diagonal(r, 0.0)
    return np.arctanh(r), is_repaired
