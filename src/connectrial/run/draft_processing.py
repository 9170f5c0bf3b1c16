"""Parcels, coverage, censoring and denoising in a drafted study file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import pandas as pd

from connectrial.data import Scan
from connectrial.errors import InputError
from connectrial.fc.strategies import STRATEGIES, resolve_confounds
from connectrial.io.bids import read_motion
from connectrial.io.cifti import is_cifti
from connectrial.run.draft_protocol import Protocol
from connectrial.run.draft_survey import Look, path_text
from connectrial.run.draft_text import StudyText, counted, quoted, toml_list

_FD_LIMITS_MM = (0.2, 0.3, 0.5)
_MOST_MOTION = 40  # motion tables that are read to show what thresholds would cost


def all_choices(look: Look, option: str) -> str:
    """Return the labels that an entity has, with the number of files of each."""
    assert look.index is not None  # noqa: S101 - only called with scans
    counts = look.index.choices.get(option, {})
    return ", ".join(f"{label} ({counted(n, 'file')})" for label, n in counts.items())


def write_atlas(text: StudyText, protocol: Protocol, variables: Sequence[str]) -> None:
    """Write which atlas the parcels come from, its networks, and sets that join several."""
    look, parcels = protocol.look, protocol.look.parcels
    label = look.scans[0].atlas
    n_parcels = counted(len(parcels.names), "parcel") if parcels.names else ""
    text.section("[atlas]", n_parcels)
    if label is not None:
        check = ""
        if "atlas" in look.chosen:
            check = f"check: several are there: {all_choices(look, 'atlas')}"
        text.pair("name", quoted(label), check)
    if parcels.built_in:
        text.pair("name", quoted(parcels.built_in), "check: " + "; ".join(parcels.checks))
        text.off('image = "atlas-NAME_dseg.nii.gz"   # or one of your own, in the scans\' space')
        text.off('table = "atlas-NAME_dseg.tsv"   # names and networks of its parcels')
    elif look.scans[0].kind == "image":
        image = parcels.image
        place = _placeholder(look)
        if image is not None:
            place = quoted(path_text(image, variables=variables))
        text.pair("image", place, "check: " + "; ".join(parcels.checks))
    if parcels.table is not None:
        text.pair("table", quoted(path_text(parcels.table, variables=variables)), "its networks")
    elif not parcels.names:
        if look.scans[0].kind != "image":
            text.check("; ".join(parcels.checks))
        text.off('table = "atlas-NAME_dseg.tsv"   # names and networks of the parcels')
    _write_networks(text, parcels.networks, parcels.without)
    for system in (protocol.primary, protocol.negative):
        if system is not None and system.is_set:
            text.section(f"[sets.{quoted(system.name)}]", f"{system.n_parcels} parcels")
            text.pair("networks", toml_list(system.members))


def _placeholder(look: Look) -> str:
    """Return a label file's name of the form that the images need."""
    name = look.scans[0].path.name
    if name.endswith(".func.gii"):
        return toml_list(["lh.NAME.annot", "rh.NAME.annot"])
    return quoted(f"atlas-NAME_dseg{'.dlabel.nii' if is_cifti(look.scans[0].path) else '.nii.gz'}")


def _write_networks(text: StudyText, networks: Mapping[str, int], without: Sequence[str]) -> None:
    if networks:
        listed = ", ".join(f"{name} {n}" for name, n in networks.items())
        text.say(f"networks and their parcels: {listed}")
    if without:
        shown = ", ".join(islice(without, 6)) + (", ..." if len(without) > 6 else "")
        text.say(f"{counted(len(without), 'parcel')} without a network: {shown}")
        text.say("A set gathers parcels by name (* and ? are wildcards):")
        text.off('[sets."my regions"]', f"parcels = {toml_list(islice(without, 3))}")


def write_processing(text: StudyText, protocol: Protocol) -> None:
    """Write coverage, what censoring would cost, and for images how they are cleaned."""
    look = protocol.look
    kind = look.scans[0].kind
    if kind != "matrix":
        text.section("[coverage]", "parcels that the field of view misses")
        text.pair("action", quoted("flag"), 'shown, and still used; "exclude" leaves them out')
        shares = _motion_shares(look.scans, limits_mm=_FD_LIMITS_MM)
        if shares is not None:
            listed = ", ".join(
                f"{limit:g} mm {share:.0%}"
                for limit, share in zip(_FD_LIMITS_MM, shares, strict=True)
            )
            text.leave()
            text.check(f"no frame is censored as it stands; frames that move more than {listed}")
            text.off("[censoring]", "max_fd_mm = 0.3", "min_kept_minutes = 4.0")
    if kind == "image":
        strategy, why = _strategy(look)
        text.section("[denoising]", "how the images are cleaned")
        text.pair("strategy", quoted(strategy), f"check: {why}")
        text.off("band_hz = [0.009, 0.08]   # costs many degrees of freedom in short runs")


def _strategy(look: Look) -> tuple[str, str]:
    """Take the first strategy that the confounds of the first run allow."""
    if any(scan.denoised for scan in look.scans):
        return "none", "the images were denoised by the tool that made them"
    path = next((scan.confounds for scan in look.scans if scan.confounds is not None), None)
    if path is None:
        return "none", "there are no confounds tables, so the images are taken as clean"
    try:
        columns = list(map(str, read_motion(path).columns))
    except InputError:
        columns = []
    for name in ("36P", "24P+aCompCor", "24P", "12P", "6P"):
        if name not in STRATEGIES:
            continue
        try:
            resolve_confounds(columns, name)
        except InputError:
            continue
        return name, "36P, 24P+aCompCor, 24P, 12P, 6P or none"
    return "none", f"{path.name} holds too few columns for any strategy"


def _motion_shares(scans: Sequence[Scan], *, limits_mm: Sequence[float]) -> list[float] | None:
    """Return the share of frames that move more than each limit, over up to 40 runs.

    Parameters
    ----------
    scans : sequence of Scan
        Those with a motion table count.
    limits_mm : sequence of float
        Framewise displacement in mm.

    Returns
    -------
    list of float or None
        Shares between 0 and 1; None where there is no framewise displacement.
    """
    told = [scan for scan in scans if scan.confounds is not None]
    pieces = []
    for scan in told[:: max(1, len(told) // _MOST_MOTION)]:
        try:
            table = read_motion(scan.confounds)  # type: ignore[arg-type]  # chosen above
        except InputError:
            continue
        if "framewise_displacement" in table:
            pieces.append(table["framewise_displacement"].dropna())
    if not pieces:
        return None
    fd_mm = pd.concat(pieces)
    return [float((fd_mm > limit).mean()) for limit in limits_mm]
