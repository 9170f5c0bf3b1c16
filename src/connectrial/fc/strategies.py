"""Named sets of confounds, each with the reason to choose it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectrial.errors import InputError

Band = tuple[float, float]

_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_TISSUE = ("global_signal", "white_matter", "csf")
_EXPANSION = ("", "_derivative1", "_power2", "_derivative1_power2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A named set of confounds and the reason to choose it.

    Attributes
    ----------
    name : str
        As in the study file.
    columns : tuple of str
        fMRIPrep column names that are always part of it.
    n_compcor : int
        Anatomical CompCor components taken from white matter, and as many from CSF.
    reason : str
        When it is a good choice, and what it costs.
    recommended : bool
        True for the one to take if nothing speaks against it.
    """

    name: str
    columns: tuple[str, ...]
    reason: str
    n_compcor: int = 0
    recommended: bool = False


def _expand(names: Iterable[str], suffixes: Iterable[str]) -> tuple[str, ...]:
    names = tuple(names)
    return tuple(f"{name}{suffix}" for suffix in suffixes for name in names)


STRATEGIES: Mapping[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            name="none",
            columns=(),
            reason="no regression: for data that were cleaned before, or as a comparison; motion "
            "stays in the signal.",
        ),
        Strategy(
            name="6P",
            columns=_MOTION,
            reason="six realignment parameters: cheap in degrees of freedom, leaves most motion "
            "artefact behind (Ciric 2017); for very short runs only.",
        ),
        Strategy(
            name="12P",
            columns=_expand(_MOTION, _EXPANSION[:2]),
            reason="realignment parameters and their derivatives: the classic set before 2013; "
            "leaves spin-history effects.",
        ),
        Strategy(
            name="24P",
            columns=_expand(_MOTION, _EXPANSION),
            reason="realignment parameters, derivatives and the squares of both (Satterthwaite "
            "2013): all that motion parameters can do; physiology stays.",
        ),
        Strategy(
            name="36P",
            columns=_expand(_MOTION, _EXPANSION) + _expand(_TISSUE, _EXPANSION),
            reason="24P with global signal, white matter and CSF, expanded alike: leaves the least "
            "relation of FC to motion with censoring (Ciric 2017, Parkes 2018). Includes "
            "global-signal regression, which shifts all correlations down; costs up to 36 df.",
            recommended=True,
        ),
        Strategy(
            name="24P+aCompCor",
            columns=_expand(_MOTION, _EXPANSION),
            n_compcor=5,
            reason="24P with five components each of white matter and CSF: the choice without "
            "global-signal regression, and its check; costs up to 34 df.",
        ),
    )
}


def resolve_confounds(
    columns: Iterable[str],
    strategy: str,
    *,
    band_hz: Band | None = None,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[str]:
    """Name the columns of an fMRIPrep confounds table that a strategy regresses out.

    Parameters
    ----------
    columns : iterable of str
        Columns of the confounds table.
    strategy : str
        A key of `STRATEGIES`.
    band_hz : tuple of float, optional
        The band-pass that will be applied. CompCor components were made from high-passed data; if
        the band has no lower edge, the table's cosines join them, else the filter does their work.
    metadata : mapping, optional
        The table's JSON sidecar. Only older tables need it, whose ``a_comp_cor_*`` columns do not
        say from which tissue they come.

    Returns
    -------
    list of str
        In the strategy's order.

    Raises
    ------
    InputError
        If the strategy is unknown, or columns are missing (all of them are named).
    """
    if strategy not in STRATEGIES:
        near = difflib.get_close_matches(strategy, STRATEGIES, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"strategy {strategy!r} is none of {', '.join(STRATEGIES)}{hint}")
    chosen = STRATEGIES[strategy]
    available = list(columns)
    wanted = list(chosen.columns)
    if chosen.n_compcor:
        for tissue in ("WM", "CSF"):
            wanted += _compcor_columns(available, tissue, chosen.n_compcor, metadata)
        if band_hz is None or band_hz[0] <= 0:
            wanted += sorted(name for name in available if name.startswith("cosine"))
    missing = [name for name in wanted if name not in set(available)]
    if missing:
        raise InputError(
            f"strategy {strategy!r} needs confounds that the table does not have: "
            f"{', '.join(missing)}; it has {len(available)} columns "
            f"({', '.join(available[:6])}{', ...' if len(available) > 6 else ''})"
        )
    return wanted


def _compcor_columns(
    available: list[str],
    tissue: str,
    n_components: int,
    metadata: Mapping[str, Mapping[str, Any]] | None,
) -> list[str]:
    """Return the leading components of one tissue, by either of fMRIPrep's namings."""
    prefix = {"WM": "w_comp_cor_", "CSF": "c_comp_cor_"}[tissue]
    if any(name.startswith(prefix) for name in available):
        return [f"{prefix}{number:02d}" for number in range(n_components)]
    of_tissue = sorted(
        name
        for name in available
        if name.startswith("a_comp_cor_")
        and metadata is not None
        and metadata.get(name, {}).get("Mask") == tissue
    )
    # Where neither naming helps, the newer one appears in the message about what is missing.
    return of_tissue[:n_components] or [f"{prefix}{number:02d}" for number in range(n_components)]
