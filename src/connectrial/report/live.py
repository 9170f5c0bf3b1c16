"""What a page can do beyond showing: data that its own script draws, above the static figure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

#: Scripts of the interactive forms, in the order in which the page needs them.
SCRIPTS = (
    "live_core.js",
    "live_matrix.js",
    "live_people.js",
    "live_slices.js",
    "live_brain.js",
    "live_vega.js",
    "live_surface.js",
)
_VIEW = re.compile(r"\bview_\d+\b")
STYLES = ("live.css",)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Live:
    """An interactive form.

    Attributes
    ----------
    kind : str
        Which script draws it: ``matrix``, ``people``, ``slices``, ``brain``, ``vega``,
        ``surface``.
    title : str
        What it shows.
    how : str
        How to work with it, keys included; and how numbers were rounded.
    data : mapping
        Plain data for the script. Text in it is shown as text, never as markup.
    """

    kind: str
    title: str
    how: str
    data: Mapping[str, Any]

    @property
    def json(self) -> str:
        """Return the data as JSON without blanks; numbers that JSON cannot hold become null."""
        return json.dumps(
            _plain(self.data), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )


def chart(drawn: alt.TopLevelMixin, *, title: str, how: str) -> Live:
    """Return a chart of altair as an interactive form, its data inside.

    Parameters
    ----------
    drawn : altair.TopLevelMixin
        The chart.
    title, how : str
        What it shows, and how to work with it.
    """
    import altair as alt

    # altair refuses tables of more than 5,000 rows; 120 people's concentrations are more.
    with alt.data_transformers.disable_max_rows():
        spec = drawn.to_dict(validate=False)
    # altair counts its views from the start of the process; a page is the same every time.
    text = json.dumps(_plain(spec), ensure_ascii=False)
    names = {one: f"view_{i}" for i, one in enumerate(dict.fromkeys(_VIEW.findall(text)))}
    text = _VIEW.sub(lambda found: names[found[0]], text)
    return Live(kind="vega", title=title, how=how, data={"spec": json.loads(text)})


def live_scripts() -> str:
    """Return the scripts of all interactive forms as one text."""
    return "\n".join(_template(name) for name in SCRIPTS if _exists(name))


def live_styles() -> str:
    """Return their styles as one text."""
    return "\n".join(_template(name) for name in STYLES)


def _exists(name: str) -> bool:
    return (files("connectrial") / "templates" / name).is_file()


def _template(name: str) -> str:
    return (files("connectrial") / "templates" / name).read_text(encoding="utf-8")


def _plain(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)
