"""The same scans processed in other ways: a plan of its own for each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from connectrial.plan.planned import PlannedAnalysis
from connectrial.study import Study, VariantSection

#: Sections that a variant does not repeat: it is there for the hypotheses.
_ONLY_ONCE: dict[str, Any] = {
    "variants": {},
    "clinical": (),
    "correlation": (),
    "time_to_event": (),
    "comparison": (),
    "exploration": (),
    "edge_set": (),
    "maps": {},
    "volumes": None,
    "safety": None,
    "family": {},
}


def variant_study(study: Study, name: str) -> Study:
    """Return the study of a variant: its hypotheses alone, as sensitivity, its processing in place.

    Parameters
    ----------
    study : Study
        The study.
    name : str
        Of a ``[variants.NAME]``.

    Returns
    -------
    Study
        It is where the study is, so that relative paths hold.
    """
    section = study.variants[name]
    data = {
        key: value
        for key, value in (
            ("derivatives", section.derivatives),
            ("description", section.data_description),
        )
        if value is not None
    }
    if section.derivatives is not None and study.data.dataset is None:
        data["dataset"] = study.data.derivatives or ""  # people and scores are those of the study
    changed: dict[str, Any] = {
        **_ONLY_ONCE,
        "data": study.data.model_copy(update=data),
        "quality": study.quality.model_copy(update={"qc_fc": False, "carpets": False}),
        "hypothesis": tuple(
            one.model_copy(
                update={
                    "role": "sensitivity",
                    "family": None,
                    "contrasts": tuple(
                        c.model_copy(update={"family": None}) for c in one.contrasts
                    ),
                }
            )
            for one in study.hypothesis
        ),
    }
    changed |= {
        key: value
        for key in ("denoising", "connectivity")
        if (value := getattr(section, key)) is not None
    }
    return study.model_copy(update=changed)


def reads_other_data(section: VariantSection) -> bool:
    """Return whether a variant's scans are other files."""
    return section.derivatives is not None or section.data_description is not None


def variant_words(study: Study, name: str) -> str:
    """Say what is other about a variant."""
    section = study.variants[name]
    said = [section.description] if section.description else []
    if section.denoising is not None:
        said.append(f"denoised by {section.denoising.strategy}")
    if section.connectivity is not None and section.connectivity.parcel_mean == "regress":
        said.append("mean of all parcels regressed out, which is not GSR of voxels")
    if section.data_description is not None:
        said.append(f"desc-{section.data_description} files")
    return "; ".join(said)


def as_variant(one: PlannedAnalysis, name: str) -> PlannedAnalysis:
    """Return a variant's analysis under a name of its own."""
    return replace(
        one,
        name=f"{one.name} [{name}]",
        title=f"{one.title} [{name}]",
        what="variant",
        role="sensitivity",
    )
