"""The same model at every place of stacked maps, in blocks, with clusters or peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, BoolArray, FloatArray, Grayordinates
from connectrial.errors import InputError
from connectrial.fc.clusters import find_clusters, find_peaks
from connectrial.io.row_matching import match_rows
from connectrial.plan import PlannedAnalysis
from connectrial.run.analysing import base_cells
from connectrial.run.map_stack import Image, MapStack, label_of
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.multiplicity import adjust
from connectrial.stats.permutation import permute_edges
from connectrial.study import MapSection

_BLOCK_NUMBERS = 1 << 23


class TestedMaps:
    """A model at every voxel: maps of each test, clusters, rows and notes."""

    def __init__(
        self,
        plan: PlannedAnalysis,
        section: MapSection,
        maps: MapStack,
        *,
        atlas: Atlas | None,
        seed: int,
    ) -> None:
        assert plan.model is not None  # noqa: S101 - the caller has looked
        self.plan, self.section, self.maps = plan, section, maps
        self.unit = maps.places.unit
        self.images: dict[str, Image] = {}
        self.rows: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.coding = {
            name: dict(one) for name, one in plan.model.coding.items() if name in plan.rows
        }
        self.voxels, complete, left_out = self._enough_people()
        fits = self._fit(complete)
        for column, arrays in fits.items():
            self._one_test(column, arrays, complete, seed, atlas)
        if left_out:
            self.notes.append(
                f"{left_out} {self.unit} with data in some people are left out: fewer than "
                f"{section.min_coverage:.0%} of them have data there"
            )
        if maps.places.rows is not None:
            self.notes.append(
                "grayordinates that pass are counted by structure and not joined to clusters: which "
                "vertices are neighbours only a mesh tells, and none is read here"
            )
        self.clusters = self._clusters

    _clusters = pd.DataFrame()

    def _enough_people(self) -> tuple[NDArray[np.intp], BoolArray, int]:
        """Return voxels where enough people have data, complete ones first, and those left out."""
        subjects = pd.factorize(self.plan.rows["subject"].astype(str))[0]
        n_people = np.zeros(self.maps.values.shape[1], dtype=np.intp)
        n_with_map = 0
        complete = np.ones(self.maps.values.shape[1], dtype=bool)
        for person in range(subjects.max() + 1):
            mine = np.isfinite(self.maps.values[np.flatnonzero(subjects == person)])
            n_people += mine.any(axis=0)
            n_with_map += bool(mine.any())
            # A visit without any map is missing at every voxel alike and spoils none.
            complete &= mine[mine.any(axis=1)].all(axis=0)
        enough = (n_people > 0) & (n_people >= self.section.min_coverage * n_with_map)
        if not enough.any():
            raise InputError(
                f"no place has data in {self.section.min_coverage:.0%} of {n_with_map} people; "
                "lower min_coverage, or look at the masks"
            )
        voxels = np.flatnonzero(enough)
        # Voxels that miss rows of their own come last, so that they are fitted together.
        voxels = voxels[np.argsort(~complete[voxels], kind="stable")]
        return voxels, complete[voxels], int((n_people > 0).sum() - enough.sum())

    def _fit(self, complete: BoolArray) -> dict[str, dict[str, FloatArray]]:
        """Fit the model voxel by voxel, a block at a time; keep the tested columns alone."""
        plan = self.plan
        assert plan.model is not None  # noqa: S101 - looked at before
        n_rows, n_voxels = len(plan.rows), len(self.voxels)
        size = max(1024, _BLOCK_NUMBERS // n_rows)
        found: dict[str, dict[str, FloatArray]] = {}
        for start in range(0, n_voxels, size):
            part = slice(start, start + size)
            values = np.asarray(self.maps.values[:, self.voxels[part]], dtype=np.float64)
            fits = fit_edges(values, plan.formula, plan.rows, coding=self.coding, df=plan.model.df)
            for column in (one for test in plan.tests for one in fits.design.columns_of(test)):
                at = fits.terms.index(column)
                own = found.setdefault(
                    column,
                    {
                        name: np.full(n_voxels, np.nan)
                        for name in ("estimate", "se", "t", "df", "p", "n", "singular")
                    },
                )
                own["estimate"][part], own["se"][part] = fits.estimate[at], fits.se[at]
                own["t"][part], own["df"][part] = fits.statistic[at], fits.df[at]
                own["p"][part], own["n"][part] = fits.p_of(column), fits.n_subjects
                own["singular"][part] = fits.singular
        return found

    def _one_test(
        self,
        column: str,
        arrays: dict[str, FloatArray],
        complete: BoolArray,
        seed: int,
        atlas: Atlas | None,
    ) -> None:
        section, stem = self.section, f"term-{label_of(column)}_stat-"
        p, how = (
            arrays["p"],
            f"{section.method} over {int(np.isfinite(arrays['p']).sum())} {self.unit}",
        )
        if section.method == "max":
            adjusted, n_permutations = self._permute(column, complete, seed)
            how += f", {n_permutations} permutations, seed {seed}"
        elif section.method == "none":
            adjusted, how = np.full(len(p), np.nan), "not adjusted"
        else:
            adjusted = adjust(p, section.method)
        shown = {
            "estimate": arrays["estimate"],
            "t": arrays["t"],
            "z": _z_of(arrays["t"], p),
            "p": p,
            "padj": adjusted,
            "df": arrays["df"],
            "n": arrays["n"],
        }
        if section.method == "none":
            del shown["padj"]
        for name, values in shown.items():
            self.images[stem + name] = self.maps.image(values, self.voxels)
        passing = self.maps.image(p if section.method == "none" else adjusted, self.voxels)
        places = self.maps.places
        if places.rows is not None:
            peaks = find_peaks(
                self.images[stem + "t"],
                np.nan_to_num(passing, nan=1.0) < section.alpha,
                rows=places.rows,
            )
            self._note_peaks(column, peaks, stem, atlas)
            self._count(column, arrays, adjusted, how, None)
            return
        assert places.affine is not None  # noqa: S101 - a grid has one
        clusters = find_clusters(
            self.images[stem + "t"],
            np.nan_to_num(passing, nan=1.0) < section.alpha,
            affine=places.affine,
            min_voxels=section.min_cluster_voxels,
        )
        self._note_clusters(column, clusters, stem, atlas)
        self._count(column, arrays, adjusted, how, len(clusters))

    def _permute(self, column: str, complete: BoolArray, seed: int) -> tuple[FloatArray, int]:
        """Adjust for the largest |t| by permutation, over voxels that all people have."""
        plan = self.plan
        assert plan.model is not None  # noqa: S101 - looked at before
        test = next(one for one in plan.tests if _belongs(column, one))
        formula = f"fc_z ~ {' + '.join(plan.terms)}"
        if plan.model.random_terms == ("1 | subject",):
            formula += " + (1 | subject)"
        chosen = np.flatnonzero(complete)
        values = np.asarray(self.maps.values[:, self.voxels[chosen]], dtype=np.float64)
        has_map = np.flatnonzero(np.isfinite(values).all(axis=1))
        ends = np.arange(len(chosen))
        found = permute_edges(
            values[has_map],
            formula,
            plan.rows.iloc[has_map].reset_index(drop=True),
            term=test,
            n_permutations=self.section.n_permutations,
            blocks="subject",
            rng=seed,
            edges=np.column_stack([ends, ends + 1]),  # a voxel is no edge; any distinct pairs do
            statistic="max",
            visit="visit",
            coding=self.coding,
        )
        self.notes += list(found.flags)
        if len(chosen) < len(complete):
            self.notes.append(
                f"{len(complete) - len(chosen)} {self.unit} that lack data in somebody have no "
                "permutation p"
            )
        adjusted = np.full(len(complete), np.nan)
        adjusted[chosen] = found.p
        return adjusted, found.n_permutations

    def _note_clusters(
        self, column: str, clusters: pd.DataFrame, stem: str, atlas: Atlas | None
    ) -> None:
        places = [tuple(map(int, row)) for row in clusters[["peak_i", "peak_j", "peak_k"]].values]
        table = clusters.drop(columns=["peak_i", "peak_j", "peak_k"])
        for name in ("estimate", "df", "p", "padj", "n"):
            if stem + name in self.images:
                table[f"peak_{name}"] = [float(self.images[stem + name][at]) for at in places]
        mm = table[["peak_x_mm", "peak_y_mm", "peak_z_mm"]].to_numpy(dtype=np.float64)
        table["peak_parcel"] = [parcel_at(atlas, place) for place in mm]
        self._append(column, table)

    def _note_peaks(self, column: str, peaks: pd.DataFrame, stem: str, atlas: Atlas | None) -> None:
        at = peaks["peak_row"].to_numpy(dtype=np.intp)
        table = peaks.drop(columns=["peak_row"])
        for name in ("estimate", "df", "p", "padj", "n"):
            if stem + name in self.images:
                table[f"peak_{name}"] = self.images[stem + name][at].astype(np.float64)
        rows = self.maps.places.rows
        assert rows is not None  # noqa: S101 - the caller has looked
        names = parcels_of_rows(atlas, rows)
        table["peak_parcel"] = [names[row] for row in at]
        self._append(column, table)

    def _append(self, column: str, table: pd.DataFrame) -> None:
        table.insert(0, "term", column)
        whole = [one for one in (self._clusters, table) if len(one)] or [table]
        self._clusters = pd.concat(whole, ignore_index=True)

    def _count(
        self,
        column: str,
        arrays: dict[str, FloatArray],
        adjusted: FloatArray,
        how: str,
        n_clusters: int | None,
    ) -> None:
        p, alpha = arrays["p"], self.section.alpha
        base = base_cells(self.plan, unit=self.unit, kind="count") | {
            "n_subjects": int(np.nanmax(arrays["n"])),
        }
        below = f"p < {alpha:g}".replace("0.", ".")
        rows = [
            {"term": f"{column}: {self.unit} tested", "estimate": int(np.isfinite(p).sum())},
            {"term": f"{column}: {below}, not adjusted", "estimate": int((p < alpha).sum())},
        ]
        if self.section.method != "none":
            count = int((adjusted < alpha).sum())
            rows.append(
                {"term": f"{column}: adjusted {below}", "estimate": count, "adjustment": how}
            )
        if n_clusters is not None:
            rows.append({"term": f"{column}: clusters", "estimate": n_clusters, "unit": "clusters"})
        rows += [
            {
                "term": f"{column}: fits on the boundary (no variance between people)",
                "estimate": int(np.nansum(arrays["singular"])),
            },
        ]
        self.rows += [base | row for row in rows]
        unknown = int((~np.isfinite(p)).sum())
        if unknown:
            self.notes.append(f"{unknown} {self.unit} have no estimate of {column}")


def _belongs(column: str, test: str) -> bool:
    """Tell whether a column such as ``visit[after]:arm[drug]`` is the term ``visit:arm``."""
    import re

    bare = re.sub(r"\[[^\]]*\]", "", column)
    return set(bare.split(":")) == set(test.replace(" ", "").split(":"))


def _z_of(t: FloatArray, p: FloatArray) -> FloatArray:
    """Return the standard normal that has the same two-sided p, with the sign of t."""
    from scipy.special import ndtri

    return np.asarray(np.sign(t) * -ndtri(np.clip(p, 1e-300, 1.0) / 2.0))


def parcel_at(atlas: Atlas | None, place_mm: FloatArray) -> str:
    """Name the parcel of a label image at a place in world coordinates; "" outside all."""
    if atlas is None or atlas.labels is None or atlas.affine is None:
        return ""
    inverse = np.linalg.inv(atlas.affine)
    voxel = np.floor(inverse[:3, :3] @ place_mm + inverse[:3, 3] + 0.5).astype(int)
    if (voxel < 0).any() or (voxel >= atlas.labels.shape).any():
        return ""
    label = int(atlas.labels[tuple(voxel)])
    names = atlas.parcels.index[(atlas.parcels["index"] == label).to_numpy()]
    return str(names[0]) if label and len(names) else ""


def parcels_of_rows(atlas: Atlas | None, rows: Grayordinates) -> NDArray[np.object_]:
    """Name the parcel of every row by an atlas of grayordinates; "" outside all."""
    names = np.full(len(rows), "", dtype=object)
    if atlas is None or atlas.grayordinates is None or atlas.row_labels is None:
        return names
    here = match_rows(atlas.grayordinates, rows)
    labels = np.where(here >= 0, atlas.row_labels[here], 0)
    for name, label in zip(atlas.parcels.index, atlas.parcels["index"], strict=True):
        names[labels == label] = str(name)
    return names
