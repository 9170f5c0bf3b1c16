"""From a treatment trial's resting-state fMRI derivatives and clinical tables to its answer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from connectrial._version import __version__

if TYPE_CHECKING:
    from connectrial.fc.censoring import censor_frames
    from connectrial.fc.connectivity import correlate_parcels
    from connectrial.fc.denoising import denoise
    from connectrial.fc.networks import network_fc
    from connectrial.fc.quality import dvars, framewise_displacement, tsnr
    from connectrial.fc.seed_maps import global_connectivity_map, seed_maps
    from connectrial.io.images import extract_time_series
    from connectrial.io.known_atlases import load_atlas
    from connectrial.io.outputs import load_results
    from connectrial.io.scale_files import read_scale
    from connectrial.io.voxels import read_voxels
    from connectrial.report import render_report
    from connectrial.run import plan_study, run_plan
    from connectrial.simulate import simulate_trial
    from connectrial.stats.edgewise import fit_edges
    from connectrial.stats.mixed import fit_mixed
    from connectrial.stats.mmrm import fit_mmrm
    from connectrial.stats.multiplicity import adjust
    from connectrial.stats.permutation import permute_edges
    from connectrial.stats.reliability import icc
    from connectrial.study_file import load_study
    from connectrial.trial.exposure import assumed_occupancy, exposure_summary
    from connectrial.trial.pharmacokinetics import simulate_concentration
    from connectrial.trial.scoring import score_scale

#: Name -> module that has it; nothing is imported before it is asked for.
_PUBLIC = {
    "load_study": "study_file",
    "plan_study": "run",
    "run_plan": "run",
    "load_results": "io.outputs",
    "render_report": "report",
    "fit_mixed": "stats.mixed",
    "fit_mmrm": "stats.mmrm",
    "permute_edges": "stats.permutation",
    "fit_edges": "stats.edgewise",
    "adjust": "stats.multiplicity",
    "icc": "stats.reliability",
    "framewise_displacement": "fc.quality",
    "dvars": "fc.quality",
    "tsnr": "fc.quality",
    "censor_frames": "fc.censoring",
    "denoise": "fc.denoising",
    "correlate_parcels": "fc.connectivity",
    "network_fc": "fc.networks",
    "extract_time_series": "io.images",
    "read_voxels": "io.voxels",
    "seed_maps": "fc.seed_maps",
    "global_connectivity_map": "fc.seed_maps",
    "load_atlas": "io.known_atlases",
    "simulate_trial": "simulate",
    "simulate_concentration": "trial.pharmacokinetics",
    "exposure_summary": "trial.exposure",
    "assumed_occupancy": "trial.exposure",
    "read_scale": "io.scale_files",
    "score_scale": "trial.scoring",
}

__all__ = [
    "__version__",
    "adjust",
    "assumed_occupancy",
    "censor_frames",
    "correlate_parcels",
    "denoise",
    "dvars",
    "exposure_summary",
    "extract_time_series",
    "fit_edges",
    "fit_mixed",
    "fit_mmrm",
    "framewise_displacement",
    "global_connectivity_map",
    "icc",
    "load_atlas",
    "load_results",
    "load_study",
    "network_fc",
    "permute_edges",
    "plan_study",
    "read_scale",
    "read_voxels",
    "render_report",
    "run_plan",
    "score_scale",
    "seed_maps",
    "simulate_concentration",
    "simulate_trial",
    "tsnr",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name not in _PUBLIC:
        raise AttributeError(f"module 'connectrial' has no attribute {name!r}")
    return getattr(importlib.import_module(f"connectrial.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
