"""What differences, contrasts, sets of connections and variants must have in common."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from connectrial.errors import did_you_mean
from connectrial.study import (
    ClinicalSection,
    ConnectivitySection,
    ContrastSection,
    HypothesisSection,
    Study,
)


def reference_treatment(study: Study) -> str:
    """Return the treatment that others are compared with where a contrast names none."""
    return study.design.treatments[0] if study.design.treatments else ""


def stated_contrasts(
    study: Study, item: HypothesisSection | ClinicalSection
) -> tuple[ContrastSection, ...]:
    """Return the contrasts of an analysis, the reference treatment written out."""
    return tuple(one.stated(reference_treatment(study)) for one in item.contrasts)


def contrast_members(
    study: Study, item: HypothesisSection | ClinicalSection, family: str
) -> list[tuple[str, str]]:
    """Return the contrasts of an analysis that belong to a family, as (analysis, term)."""
    return [
        (item.name, one.term())
        for one in stated_contrasts(study, item)
        if (one.family or item.family) == family
    ]


def edge_set_members(study: Study, family: str) -> list[tuple[str, str]]:
    """Return the comparisons of sets of connections that belong to a family."""
    return [(one.name, one.test) for one in study.edge_set if one.family == family]


def set_problems(study: Study) -> list[str]:
    """Find names that nothing declares and requests that contradict one another."""
    return [
        *_hypothesis_problems(study),
        *_contrast_problems(study),
        *_edge_set_problems(study),
        *_variant_problems(study),
    ]


def _unknown(place: str, what: str, name: str | None, known: Collection[str]) -> Iterator[str]:
    if name is not None and name not in known:
        yield f"{place}: {what} {name!r} is not declared{did_you_mean(name, list(known))}"


def _hypothesis_problems(study: Study) -> Iterator[str]:
    plain = [one.name for one in study.hypothesis if one.difference is None]
    for one in study.hypothesis:
        place = f"[[hypothesis]] {one.name!r}"
        for visit in one.visits:
            yield from _unknown(place, "visit", visit, study.visits)
        for name in one.difference or ():
            yield from _unknown(f"{place} difference", "hypothesis with a system", name, plain)
        if one.difference is not None and len(set(one.difference)) == 1:
            yield f"{place} difference: names {one.difference[0]!r} twice; a difference is of two"


def _contrast_problems(study: Study) -> Iterator[str]:
    analyses: list[tuple[str, HypothesisSection | ClinicalSection]] = []
    analyses += [("hypothesis", one) for one in study.hypothesis]
    analyses += [("clinical", one) for one in study.clinical]
    for section, item in analyses:
        place = f"[[{section}]] {item.name!r} contrasts"
        if item.contrasts and not study.is_crossover:
            yield f"{place}: are of treatments in a crossover; design.kind is {study.design.kind!r}"
            continue
        names = [one.term(reference_treatment(study)) for one in item.contrasts]
        yield from (
            f"{place}: {n!r} stands twice" for n in sorted({n for n in names if names.count(n) > 1})
        )
        model = study.model.get(item.model or "")
        words = set() if model is None else {w for t in model.fixed for w in re.findall(r"\w+", t)}
        if item.contrasts and model is not None and "treatment" not in words:
            yield f"{place}: model {item.model!r} has no term 'treatment'"
        for one in item.contrasts:
            for treatment in (one.treatment, one.against):
                yield from _unknown(place, "treatment", treatment, study.design.treatments)
            if one.treatment == (one.against or reference_treatment(study)):
                yield f"{place}: compares {one.treatment!r} with itself; name another one in against"
            yield from _unknown(place, "family", one.family, study.family)
            entering = item.visits or study.visits
            for visit in (*one.visits, *([one.since] if one.since else ())):
                yield from _unknown(place, "visit that enters", visit, entering)
            if one.since in one.visits or (one.since is not None and not one.visits):
                yield f"{place} since: needs visits, and stands for one before them"
            if one.visits and model is not None and not words & {"visit", "time"}:
                yield (
                    f"{place}: visits are named, but model {item.model!r} has no visit; leave them out, "
                    "or set the analysis' own visits"
                )


def _edge_set_problems(study: Study) -> Iterator[str]:
    listed = [one.name for one in study.hypothesis if one.difference is None]
    for one in study.edge_set:
        place = f"[[edge_set]] {one.name!r}"
        yield from _unknown(place, "hypothesis with a system", one.hypothesis, listed)
        yield from _unknown(place, "hypothesis with a system", one.others, listed)
        yield from _unknown(place, "family", one.family, study.family)
        if one.others == one.hypothesis:
            yield f"{place} others: is the hypothesis itself; name another, or leave it out"
        if one.strength_of is not None:
            known = (*study.design.treatments, *study.visits)
            yield from _unknown(place, "treatment or visit", one.strength_of, known)
            if "strength" not in one.match:
                yield f"{place} strength_of: changes nothing, because match has no 'strength'"
        if "n_bins" in one.model_fields_set and set(one.match) <= {"networks"}:
            yield f"{place} n_bins: changes nothing, because match has no number"


def _variant_problems(study: Study) -> Iterator[str]:
    labels: dict[str, str] = {}
    for name, one in study.variants.items():
        place = f"[variants.{name}]"
        label = variant_label(name).lower()
        if not label:
            yield f"{place}: the name needs a letter or a digit, for its folder"
        elif label in labels:
            yield f"{place}: its folder would be that of [variants.{labels[label]}]; rename one"
        labels.setdefault(label, name)
        if not study.hypothesis:
            yield f"{place}: there is no [[hypothesis]] to repeat"
        if one.denoising is not None and study.data.kind in ("time series", "matrices"):
            yield (
                f"{place} denoising: the data are ready-made ({study.data.kind}), which are never "
                "denoised again; name derivatives processed otherwise"
            )
        if one.connectivity is not None:
            yield from _parcel_mean(place, study, one.connectivity)
    yield from _parcel_mean("[connectivity]", study, study.connectivity)


def _parcel_mean(place: str, study: Study, rules: ConnectivitySection) -> Iterator[str]:
    if rules.parcel_mean == "regress" and study.data.kind in ("images", "matrices"):
        instead = (
            "take a strategy with the global signal in [denoising], which is that of the voxels"
            if study.data.kind == "images"
            else "matrices have no series"
        )
        yield f"{place} parcel_mean: is for time series; [data] kind is {study.data.kind!r}: {instead}"


def variant_label(name: str) -> str:
    """Return the part of file names that a variant's name becomes."""
    return re.sub(r"[^A-Za-z0-9]", "", name)
