"""Named sets of confounds, each with the reason to choose it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from connectrial.errors import InputError
from connectrial.fc.filters import Band

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
    compcor_variance : float or None
        Instead of a number: as many components of each tissue as explain this share of its variance.
    cosines : bool
        Whether fMRIPrep's discrete cosines, a high-pass, are always part of it.
    aroma : bool
        Whether all of ICA-AROMA's noise components are part of it.
    recommended : bool
        True for the one to take if nothing speaks against it.
    """

    name: str
    columns: tuple[str, ...]
    reason: str
    n_compcor: int = 0
    compcor_variance: float | None = None
    cosines: bool = False
    aroma: bool = False
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
        Strategy(
            name="9P",
            columns=_MOTION + _TISSUE,
            reason="realignment parameters with the means of global signal, white matter and CSF: "
            "for runs too short for 36P; leaves more motion (Ciric 2017).",
        ),
        Strategy(
            name="32P",
            columns=_expand(_MOTION, _EXPANSION) + _expand(_TISSUE[1:], _EXPANSION),
            reason="36P without the global signal: shows what the global signal does; leaves "
            "more of motion's distance-dependent and global share.",
        ),
        Strategy(
            name="24P+aCompCor50",
            columns=_expand(_MOTION, _EXPANSION),
            compcor_variance=0.5,
            reason="24P with as many components of white matter and CSF as explain half their "
            "variance (Muschelli 2014): the thorough variant of aCompCor; the number, and so the "
            "df, differs from scan to scan.",
        ),
        Strategy(
            name="24P+aCompCor+GSR4",
            columns=_expand(_MOTION, _EXPANSION) + _expand(_TISSUE[:1], _EXPANSION),
            n_compcor=5,
            reason="24P+aCompCor with the global signal, expanded (Parkes 2018); costs up to 38 df.",
        ),
    )
}


_TISSUES = {"GSR": ("global_signal", "global signal"), "WM": ("white_matter", "white matter")}
_TISSUES["CSF"] = ("csf", "CSF")
_NUMBERS = {
    "": (1, "mean"),
    "2": (2, "mean and derivative"),
    "4": (4, "mean, derivative and squares"),
}

BLOCKS: Mapping[str, Strategy] = {
    **{name: STRATEGIES[name] for name in ("6P", "12P", "24P", "36P")},
    **{
        label + number: Strategy(
            name=label + number,
            columns=_expand((column,), _EXPANSION[:n]),
            reason=f"{words} of {tissue}",
        )
        for label, (column, tissue) in _TISSUES.items()
        for number, (n, words) in _NUMBERS.items()
    },
    **{
        strategy.name: strategy
        for strategy in (
            Strategy(
                name="aCompCor",
                columns=(),
                n_compcor=5,
                reason="five components each of white matter and CSF",
            ),
            Strategy(
                name="aCompCor50",
                columns=(),
                compcor_variance=0.5,
                reason="components for half the variance of white matter and of CSF",
            ),
            Strategy(
                name="cosine",
                columns=(),
                cosines=True,
                reason="fMRIPrep's cosines as a high-pass",
            ),
            Strategy(
                name="AROMA",
                columns=(),
                aroma=True,
                reason="all of ICA-AROMA's noise components (aggressive)",
            ),
        )
    },
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
        A key of `STRATEGIES`, or blocks joined by ``+`` (see `find_strategy`).
    band_hz : tuple of float, optional
        The band-pass that will be applied. CompCor components were made from high-passed data; if
        the band has no lower edge, the table's cosines join them, else the filter does their work.
    metadata : mapping, optional
        The table's JSON sidecar. Older tables need it, whose ``a_comp_cor_*`` columns do not say
        from which tissue they come, and ``aCompCor50``, for the variance that each explains.

    Returns
    -------
    list of str
        In the strategy's order.

    Raises
    ------
    InputError
        If the strategy is unknown or refused (`check_strategy`), or columns are missing (all of them
        are named).
    """
    chosen = find_strategy(strategy)
    check_strategy(strategy, band_hz=band_hz)
    available = list(columns)
    wanted = list(chosen.columns)
    if chosen.n_compcor or chosen.compcor_variance is not None:
        for tissue in ("WM", "CSF"):
            wanted += _compcor_columns(available, tissue, chosen, metadata)
    cosines = chosen.cosines
    if chosen.n_compcor or chosen.compcor_variance is not None:
        cosines = cosines or not _has_low_edge(band_hz)
    if cosines:
        found = sorted(name for name in available if name.startswith("cosine"))
        # Under the automatic rule, a table without cosines is a run too short to have any.
        wanted += found or (["cosine00"] if chosen.cosines else [])
    if chosen.aroma:
        found = sorted(name for name in available if name.startswith("aroma_motion_"))
        wanted += found or ["aroma_motion_01"]
    missing = [name for name in wanted if name not in set(available)]
    if missing:
        raise InputError(
            f"strategy {strategy!r} needs confounds that the table does not have: "
            f"{', '.join(missing)}; it has {len(available)} columns "
            f"({', '.join(available[:6])}{', ...' if len(available) > 6 else ''})"
        )
    return wanted


def find_strategy(name: str) -> Strategy:
    """Return a strategy of the table, or put one together from blocks joined by ``+``.

    Parameters
    ----------
    name : str
        A key of `STRATEGIES`, or blocks of `BLOCKS`, such as ``24P+WM2+CSF2`` or ``6P+GSR``.

    Returns
    -------
    Strategy

    Raises
    ------
    InputError
        If a block is unknown or comes twice, or two blocks hold the same confounds.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    blocks = name.split("+")
    unknown = [block for block in blocks if block not in BLOCKS]
    if unknown:
        near = difflib.get_close_matches(name, STRATEGIES, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"strategy {name!r} is none of {', '.join(STRATEGIES)}{hint} (or blocks joined by '+': "
            f"{', '.join(BLOCKS)})"
        )
    columns: list[str] = []
    for block in blocks:
        twice = [column for column in BLOCKS[block].columns if column in columns]
        if twice or blocks.count(block) > 1:
            said = f", as {twice[0]!r}" if twice else ""
            raise InputError(
                f"strategy {name!r} has the confounds of {block!r} twice{said}; each block brings "
                "its own, and larger blocks hold the smaller"
            )
        columns += BLOCKS[block].columns
    parts = [BLOCKS[block] for block in blocks]
    variances = [p.compcor_variance for p in parts if p.compcor_variance is not None]
    if variances and any(part.n_compcor for part in parts):
        raise InputError(f"strategy {name!r} asks for CompCor twice; take aCompCor or aCompCor50")
    return Strategy(
        name=name,
        columns=tuple(columns),
        n_compcor=sum(part.n_compcor for part in parts),
        compcor_variance=variances[0] if variances else None,
        cosines=any(part.cosines for part in parts),
        aroma=any(part.aroma for part in parts),
        reason="put together for this study: " + "; ".join(part.reason for part in parts),
    )


def check_strategy(strategy: str, *, band_hz: Band | None = None) -> None:
    """Refuse combinations of confounds and filter that undo themselves, and say why.

    Parameters
    ----------
    strategy : str
        A key of `STRATEGIES`, or blocks joined by ``+``.
    band_hz : tuple of float, optional
        The band-pass that will be applied.

    Raises
    ------
    InputError
        If the strategy is unknown, or a combination is refused (all reasons at once).
    """
    chosen = find_strategy(strategy)
    problems = []
    if chosen.aroma and any(name.startswith("global_signal") for name in chosen.columns):
        problems.append(
            f"strategy {strategy!r} regresses AROMA's components and fMRIPrep's global_signal: that "
            "signal was averaged before AROMA took motion out, so it carries motion, and regressing "
            "it beside or after AROMA puts motion back or removes it twice; drop the global signal, "
            "or take it anew from AROMA-cleaned data"
        )
    if chosen.cosines and _has_low_edge(band_hz):
        assert band_hz is not None  # noqa: S101  it has a low edge
        problems.append(
            f"strategy {strategy!r} regresses cosines and band_hz = ({band_hz[0]}, {band_hz[1]}) has "
            "a lower edge: that is a high-pass twice, and the cosines cost degrees of freedom for "
            "nothing; drop the cosines, or make the lower edge 0"
        )
    if problems:
        raise InputError(problems)


def describe_strategies() -> pd.DataFrame:
    """Tabulate the named strategies: what each costs, what it holds, and why one would take it.

    Returns
    -------
    pandas.DataFrame
        Indexed by strategy: ``n_confounds`` (degrees of freedom at most, cosines not counted;
        missing where the data decide), ``global_signal`` (bool), ``reason``, ``recommended``.
    """
    rows = [
        {
            "n_confounds": (
                pd.NA
                if chosen.compcor_variance is not None or chosen.aroma
                else len(chosen.columns) + 2 * chosen.n_compcor
            ),
            "global_signal": any(name.startswith("global_signal") for name in chosen.columns),
            "reason": chosen.reason,
            "recommended": chosen.recommended,
        }
        for chosen in STRATEGIES.values()
    ]
    table = pd.DataFrame(rows, index=pd.Index(list(STRATEGIES), name="strategy"))
    return table.astype({"n_confounds": "Int64"})


def _has_low_edge(band_hz: Band | None) -> bool:
    return band_hz is not None and band_hz[0] > 0


def _compcor_columns(
    available: list[str],
    tissue: str,
    chosen: Strategy,
    metadata: Mapping[str, Mapping[str, Any]] | None,
) -> list[str]:
    """Return the leading components of one tissue, by either of fMRIPrep's namings."""
    prefix = {"WM": "w_comp_cor_", "CSF": "c_comp_cor_"}[tissue]
    newer = sorted(name for name in available if name.startswith(prefix))
    found = newer or sorted(
        name
        for name in available
        if name.startswith("a_comp_cor_")
        and metadata is not None
        and metadata.get(name, {}).get("Mask") == tissue
    )
    if chosen.compcor_variance is None:
        if newer:
            return [f"{prefix}{number:02d}" for number in range(chosen.n_compcor)]
        # Where neither naming helps, the newer one appears in the message about what is missing.
        return found[: chosen.n_compcor] or [f"{prefix}{n:02d}" for n in range(chosen.n_compcor)]
    if not found:
        return [f"{prefix}00"]
    explained = [
        (metadata or {}).get(name, {}).get("CumulativeVarianceExplained") for name in found
    ]
    if any(share is None for share in explained):
        raise InputError(
            f"strategy {chosen.name!r} takes {tissue} components up to "
            f"{chosen.compcor_variance:.0%} of the variance, and the confounds' JSON does not say "
            f"what {found[explained.index(None)]!r} explains; add the JSON, or take aCompCor"
        )
    order = sorted(range(len(found)), key=lambda i: float(explained[i] or 0))
    enough = [i for i in order if float(explained[i] or 0) < chosen.compcor_variance]
    # The first component that reaches the share is taken too.
    return [found[i] for i in order[: len(enough) + 1]]
