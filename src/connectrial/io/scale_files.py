"""Definitions of clinical scales: those that come with the package, and users' own files."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from connectrial.errors import InputError, did_you_mean
from connectrial.reading import read_toml
from connectrial.scales import Scale, scale_from_plain


def shipped_scales() -> tuple[str, ...]:
    """Return the names of the scales that come with the package."""
    folder = files("connectrial") / "scale_files"
    names = [
        tomllib.loads(one.read_text(encoding="utf-8"))["name"]
        for one in folder.iterdir()
        if one.name.endswith(".toml")
    ]
    return tuple(sorted(names))


def read_scale(name: str | Path) -> Scale:
    """Read the definition of a clinical scale.

    Parameters
    ----------
    name : str or Path
        A scale that comes with the package (MADRS, HAMD17, HAMD6, CGI-S, CGI-I, BPRS, QIDS-SR16,
        CADSS, VAS, PANSS), or the path of a TOML file of one's own.

    Returns
    -------
    Scale
        Items with ranges, scores, severity bands and conventions.

    Raises
    ------
    InputError
        There is no such scale or file, or the file says something that is not allowed.

    Examples
    --------
    >>> read_scale("MADRS").range_of("total").maximum
    60.0
    """
    text = str(name)
    if not text.endswith(".toml"):
        known = {one.lower().replace("-", ""): one for one in shipped_scales()}
        shipped = known.get(text.lower().replace("-", ""))
        if shipped is None:
            raise InputError(
                f"there is no scale {text!r}{did_you_mean(text, known.values())}; a definition of your "
                "own is a file that ends in .toml"
            )
        source = files("connectrial") / "scale_files" / f"{shipped.lower()}.toml"
        return scale_from_plain(tomllib.loads(source.read_text(encoding="utf-8")), where=shipped)
    path = Path(text)
    raw = read_toml(path, advice="; a scale's definition is TOML")
    return scale_from_plain(raw, where=str(path))
