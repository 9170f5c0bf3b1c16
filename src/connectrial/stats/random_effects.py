"""Random effects as numbers: their designs, their covariances, the boundary, their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.cholesky import CholeskyMap, unpack_lower
from connectrial.stats.design import Design, expand_effects, find_dependent_columns
from connectrial.stats.grammar import ParsedFormula
from connectrial.stats.patterns import Layout, RandomBlock, group_codes

Array = NDArray[np.float64]


def random_blocks(parsed: ParsedFormula, design: Design) -> list[RandomBlock]:
    """Turn the random terms of a formula into numbers, on the rows that a design uses.

    Parameters
    ----------
    parsed : ParsedFormula
        With its random terms.
    design : Design
        Whose rows are used.

    Returns
    -------
    list of RandomBlock
        Effects are scaled to unit root mean square; `scales` holds by how much.

    Raises
    ------
    ModelError
        If the effects of a term are collinear or given twice, if ``||`` was used with a factor, or
        if groups and effects are as many as the rows.
    """
    blocks: list[RandomBlock] = []
    for term in parsed.random:
        label = f"({term.effects} | {term.group})"
        effects, names, factors = expand_effects(term.effects, design.frame)
        if term.split and factors:
            raise ModelError(
                f"random term {label}: '||' takes numeric variables only, and {factors[0]!r} is a "
                "factor; code its levels as numbers, or use '|'"
            )
        estimable, _, notes = find_dependent_columns(effects, names)
        if not estimable.all():
            raise ModelError(
                f"random term {label}: effects depend on each other: "
                + "; ".join(f"{name} {note}" for name, note in notes.items())
            )
        codes, groups = group_codes([list(design.frame[name]) for name in term.groups])
        scales = np.sqrt(np.mean(effects**2, axis=0))
        blocks.append(
            RandomBlock(
                label=term.group,
                effects=effects / scales,
                effect_names=names,
                scales=scales,
                codes=codes,
                group_names=groups,
            )
        )
    _check_groups(blocks, design)
    return blocks


def _check_groups(blocks: Sequence[RandomBlock], design: Design) -> None:
    n = design.n_observations
    seen: set[tuple[str, str]] = set()
    for block in blocks:
        n_groups, n_effects = len(block.group_names), block.effects.shape[1]
        if n_groups < 2:
            raise ModelError(
                f"grouping {block.label!r}: one level only, {block.group_names[0]!r}, in {n} "
                "complete rows; a variance between groups needs at least two, and better ten"
            )
        if n_groups * n_effects >= n:
            raise ModelError(
                f"grouping {block.label!r}: {n_groups} levels x {n_effects} random effects for {n} "
                "complete rows; they cannot be told from the residual; "
                "give repeated observations, or fewer random effects"
            )
        pairs = {(block.label, name) for name in block.effect_names}
        if twice := pairs & seen:
            label, name = next(iter(twice))
            raise ModelError(f"grouping {label!r}: random effect {name!r} is given twice; keep one")
        seen |= pairs


def parameter_units(blocks: Sequence[RandomBlock]) -> Array:
    """Give the scales of (co)variances (n_parameters,) that scaled effects have."""
    units: list[float] = []
    for block in blocks:
        a, b = np.tril_indices(len(block.scales))
        units += list(block.scales[a] * block.scales[b])
    return np.array([*units, 1.0])


def variance_table(blocks: Sequence[RandomBlock], parameters: Array) -> pd.DataFrame:
    """List variance components: variances and covariances, with deviations and correlations.

    Parameters
    ----------
    blocks : sequence of RandomBlock
        Random terms.
    parameters : (n_parameters,) array
        (Co)variances in the units of the outcome, of effects as they were given.

    Returns
    -------
    DataFrame
        Indexed by component.
    """
    rows: list[dict[str, object]] = []
    position = 0
    for block in blocks:
        size = len(block.effect_names)
        matrix = unpack_lower(parameters[None, position : position + size * (size + 1) // 2], size)[
            0
        ]
        position += size * (size + 1) // 2
        sd = np.sqrt(np.diag(matrix))
        for a in range(size):
            for b in range(a + 1):
                diagonal = a == b
                product = sd[a] * sd[b]
                correlation = matrix[a, b] / product if product > 0 else np.nan
                rows.append(
                    {
                        "component": _component(block, a, b),
                        "group": block.label,
                        "effect": block.effect_names[b],
                        "effect_2": "" if diagonal else block.effect_names[a],
                        "estimate": matrix[a, b],
                        "sd_or_correlation": sd[a] if diagonal else correlation,
                    }
                )
    rows.append(
        {
            "component": "Residual",
            "group": "Residual",
            "effect": "",
            "effect_2": "",
            "estimate": parameters[-1],
            "sd_or_correlation": np.sqrt(parameters[-1]),
        }
    )
    return pd.DataFrame(rows).set_index("component")


def component_names(blocks: Sequence[RandomBlock]) -> list[str]:
    """Name variance components: lower triangles by rows, term after term, then the residual."""
    return [
        *(
            _component(block, a, b)
            for block in blocks
            for a in range(len(block.effect_names))
            for b in range(a + 1)
        ),
        "Residual",
    ]


def restrict_blocks(blocks: Sequence[RandomBlock], rows: NDArray[np.intp]) -> list[RandomBlock]:
    """Keep some rows of random terms, and the groups that these rows have."""
    found = []
    for block in blocks:
        groups, codes = np.unique(block.codes[rows], return_inverse=True)
        found.append(
            replace(
                block,
                effects=block.effects[rows],
                codes=codes,
                group_names=tuple(block.group_names[k] for k in groups),
            )
        )
    return found


def _component(block: RandomBlock, a: int, b: int) -> str:
    if block.effect_names == ("Intercept",):
        return block.label
    names = dict.fromkeys([block.effect_names[b], block.effect_names[a]])
    return f"{block.label} {' x '.join(names)}"


def predict_effects(
    blocks: Sequence[RandomBlock],
    layout: Layout,
    residual: Array,
    parameters: Array,
    inverses: Sequence[Array],
) -> list[Array]:
    """Find best linear unbiased predictions of the random effects.

    Parameters
    ----------
    blocks : sequence of RandomBlock
        Random terms.
    layout : Layout
        Of the rows.
    residual : (n_observations,) array
        Outcome minus its fixed part.
    parameters : (n_parameters,) array
        (Co)variances of scaled effects; only their ratio to V counts.
    inverses : sequence of (n_patterns, n_dims, n_dims) arrays
        V^-1 of each stack of patterns.

    Returns
    -------
    list of (n_groups, n_effects) arrays
    """
    weighted = np.zeros(len(residual))
    for stack, inverse in zip(layout.stacks(), inverses, strict=False):
        for pattern, v in zip(stack, inverse, strict=True):
            turned = pattern.rotate(residual[:, None])[:, :, 0] @ v
            back = turned if pattern.rotation is None else turned @ pattern.rotation
            weighted[pattern.index] = back
    found = []
    covariances = CholeskyMap(tuple(len(b.effect_names) for b in blocks)).matrices(parameters[None])
    for block, covariance in zip(blocks, covariances, strict=True):
        sums = np.stack(
            [
                np.bincount(block.codes, effect * weighted, minlength=len(block.group_names))
                for effect in block.effects.T
            ],
            axis=1,
        )
        found.append(sums @ covariance[0])
    return found
