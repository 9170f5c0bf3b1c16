"""Scripts of others that a page holds once, each only where something on the page needs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from connectrial.io.kept import kept_text
from connectrial.report.live import Live


@cache
def vega_script() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script; it sets ``vegaEmbed``.

    To bundle them takes seconds, so the bundle of each version of vl-convert is kept
    (:func:`connectrial.io.kept.kept_text`).
    """
    from importlib.metadata import version

    import vl_convert

    name = f"vega-embed-of-vl-convert-{version('vl-convert-python')}.js"
    return _inline(
        kept_text(name, lambda: vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    )


@cache
def niivue_script() -> str:
    """Return niivue, the viewer of surfaces that nilearn brings; it sets ``niivue``.

    Raises
    ------
    RuntimeError
        This version of nilearn lays its page out in another way.
    """
    from nilearn.plotting import view_surf
    from nilearn.surface import InMemoryMesh

    corners = np.eye(4, 3, dtype=np.float32)
    faces = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])
    page = view_surf(
        InMemoryMesh(corners, faces), np.arange(4, dtype=np.float32), engine="niivue"
    ).html
    script = max(re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL), key=len, default="")
    if "niivue" not in script:
        raise RuntimeError("nilearn's page of a surface holds no script of niivue")
    return _inline(script)


_LIBRARIES: dict[str, Callable[[], str]] = {"vega": vega_script, "surface": niivue_script}


def library_scripts(forms: Sequence[Live]) -> list[str]:
    """Return the scripts that these interactive forms need.

    Parameters
    ----------
    forms : sequence of Live
        Of the whole page.

    Returns
    -------
    list of str
        Each to stand in a ``script`` element of its own, before the page's script.
    """
    kinds = {form.kind for form in forms}
    return [load() for kind, load in _LIBRARIES.items() if kind in kinds]


def _inline(script: str) -> str:
    """Make sure that nothing in a script ends its element; in a text both spellings are the same."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
