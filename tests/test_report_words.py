"""What a report says in words: true of what was run, and as a paper would say it."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from connectrial.figures.measures import listed_measures, measure_words
from connectrial.report.blocks import figure_block
from connectrial.report.cells import estimates_table, plain_table
from connectrial.report.citing import cited
from connectrial.report.endpoint_panels import endpoint_table
from connectrial.report.methods import methods_text, said
from connectrial.report.panel import Panel
from connectrial.report.results_text import results_text
from connectrial.report.scan_views import person_views
from connectrial.report.source import unit_of
from connectrial.report.verdict import verdict_summary
from connectrial.results import Result, Results, tidy
from connectrial.trial.flow import NOT_ELIGIBLE, flow


def _row(**more) -> dict:
    base = {
        "analysis": "A", "role": "primary", "kind": "coefficient", "outcome": "A", "term": "visit",
        "estimate": -0.1, "se": 0.02, "statistic": -5.0, "statistic_name": "t", "df": 20.0,
        "df_method": "satterthwaite", "declared": True, "alternative": "two-sided", "p": 0.001,
        "ci_level": 0.95, "ci_low": -0.14, "ci_high": -0.06, "n_subjects": 20, "n_observations": 40,
    }  # fmt: skip
    return base | more


def _results(*analyses: Result, **more) -> Results:
    return Results(**({"study": {}, "plan": {}, "tables": {}} | more), analyses=analyses)


def _analysis(rows, *, name="A", what="network FC", **more) -> Result:
    base = {"role": "primary", "title": name, "outcome": name, "methods": f"{name} was modelled."}
    return Result(name=name, what=what, estimates=tidy(rows), **(base | more))


_FAMILY = {
    "family": "primary",
    "family_size": 1,
    "p_adjusted": 0.001,
    "adjustment": "holm over 1 tests",
}


def test_a_family_of_one_test_is_spoken_of_in_the_singular():
    one = _results(_analysis([_row(**_FAMILY)]))
    assert verdict_summary(one) == "The primary test passes (family primary: Holm over 1 test)."
    paragraphs, _ = methods_text(one)
    assert paragraphs[-1].startswith(
        "The p value of the one test of the family 'primary' was adjusted by Holm over 1 test and"
    )
    control = _analysis([_row(role="negative control", p=0.4)], name="B", role="negative control")
    assert verdict_summary(_results(*one.analyses, control)).endswith(
        "The negative control shows no change (p ≥ .05)."
    )


def test_citations_are_authors_and_years():
    assert cited("by the model (@otto2021, @fanta2015)") == (
        "by the model (Otto et al. 2021, Fanta et al. 2015)"
    )
    assert cited("@laird1982 and @nobody1900") == "Laird and Ware 1982 and @nobody1900"


def test_words_below_a_figure_read_as_in_the_methods():
    panel = Panel(name="a", title="", how="", alt="", methods="by @welch1947, adjusted (fdr_bh)")
    ((shown,),) = (block.panels for block in figure_block(panel))
    assert shown.methods == "by Welch 1947, adjusted (Benjamini-Hochberg FDR)"


def test_a_title_that_asks_has_no_stop_behind_it():
    asking = replace(_analysis([_row()]), title="Does it move?", methods="It was looked at.")
    assert methods_text(_results(asking))[0][0] == "Does it move? It was looked at."


def _endpoint_results() -> Results:
    cells = {
        "kind": "proportion",
        "role": "descriptive",
        "analysis": "kept_up",
        "outcome": "kept_up",
    }
    cells |= {"analysis_set": "everyone", "estimate": 0.5, "ci_low": 0.3, "ci_high": 0.7}
    needed = cells | {"kind": "number needed to treat", "term": "drug - placebo", "estimate": 4.667}
    needed |= {"ci_low": -7.2, "ci_high": 2.0, "unit": "people"}
    rows = [_row(**cells, term="kept_up"), _row(**needed)]
    rule = {"scale": "MADRS", "visit": "week 2", "until": "week 16", "min_percent_decrease": 50}
    kept = _analysis(rows, name="kept_up", what="response", role="descriptive")
    return _results(kept, study={"endpoints": {"kept_up": rule}})


def test_an_endpoint_that_must_last_says_from_when_to_when():
    assert (
        "MADRS down by 50 % from week 2 to week 16: 10 of 20 people"
        in (results_text(_endpoint_results())[0])
    )


def test_numbers_needed_to_treat_run_through_infinity_in_tables():
    found = _endpoint_results()
    (block,) = endpoint_table(found)
    first, last = (cells for _, cells in block.table.rows)
    assert (first[0].text, first[1].text) == ("kept up", "week 2 to week 16")
    assert last[2].text == "number needed to treat, drug − placebo"
    assert (last[3].text, last[3].sub) == ("NNTB 4.7", ("NNTH 7.2 to ∞ to NNTB 2.0",))
    shown = estimates_table(found.analyses[0].estimates, caption="")
    heads = [head for head, _ in shown.heads]
    cells = dict(zip(heads, shown.rows[1][1], strict=True))
    assert cells["estimate"].text == "NNTB 4.7"
    assert cells["interval"].text == "NNTH 7.2 to ∞ to NNTB 2.0"


def test_counts_are_whole_and_means_keep_their_digits():
    counted = _row(
        kind="count", estimate=2.0, unit="people", statistic=7.5, statistic_name="chi-square"
    )
    (_, cells) = estimates_table(tidy([counted]), caption="").rows[0]
    assert cells[1].text == "2"
    assert cells[4].text.replace("\u00a0", " ") == "χ² = 7.50"
    means = plain_table(pd.DataFrame({"mean": [3.0, 3.126], "people": [24, 24]}), caption="")
    assert [[cell.text for cell in row] for _, row in means.rows] == [
        ["3.00", "24"],
        ["3.13", "24"],
    ]


@pytest.mark.parametrize("by_arm", [False, True])
def test_newcombe_is_named_only_where_arms_are_compared(by_arm):
    from connectrial.plan import PlannedAnalysis
    from connectrial.run.responding import analyse_response

    people = pd.DataFrame({"subject": list("abcdef"), "met": [True, False] * 3})
    plan = PlannedAnalysis(
        name="response", title="response", what="response", role="descriptive", outcome="response",
        analysis_set="everyone", rows=people.assign(analysis_set="everyone"),
    )  # fmt: skip
    arms = pd.Series(["p", "p", "p", "d", "d", "d"], index=people["subject"])
    found = analyse_response(plan, arms if by_arm else None, ["p", "d"])
    assert ("Newcombe" in found.methods) == ("newcombe1998" in found.citations) == by_arm


def test_methods_say_how_controls_were_chosen_what_endpoints_ask_and_which_variants_there_are():
    base = _endpoint_results()
    variant = _analysis([_row()], name="A [out]", what="variant", methods="A [out] was modelled.")
    found = _results(
        *base.analyses,
        variant,
        study=base.study | {"matching": {"on": ["age"], "exact": ["sex"], "ratio": 1}},
        tables={
            "matched": pd.DataFrame({"patient": ["a"], "control": ["b"]}),
            "variants": pd.DataFrame({"variant": ["out"], "what": ["the mean was regressed out"]}),
        },
    )
    paragraphs, _ = methods_text(found)
    assert paragraphs == [
        "Patients were matched to one control each (nearest in age, alike in sex; optimal matching); "
        "the others were left out.",
        "Endpoints: kept up is MADRS down by 50 % from week 2 to week 16.",
        "Kept up was modelled.",
        "As sensitivity the same models were fitted to variants of processing: out (the mean was "
        "regressed out).",
    ]


def test_no_checklist_of_imaging_without_images_and_none_of_trials_passes_for_another():
    from connectrial.report.checklists import checklists_section

    def titles(kind: str, **tables) -> str:
        study = {"design": {"kind": kind}}
        section = checklists_section(_results(study=study, tables=tables), [])
        return " | ".join(block.title for block in section.blocks)

    alone = titles("pre-post")
    assert "COBIDAS" not in alone
    assert "CONSORT 2025 (written for randomised trials)" in alone
    scanned = titles("parallel", scans=pd.DataFrame({"subject": ["a"]}))
    assert "COBIDAS" in scanned
    assert "written for" not in scanned


@pytest.mark.parametrize(("left", "status"), [(88.0, "Methods"), (None, "not stated")])
def test_regressors_that_nobody_used_are_not_said_to_be_stated(left, status):
    """The strategy has a default, which ready-made series never see."""
    from connectrial.report.blocks import Section
    from connectrial.report.checklists import checklists_section

    quality = pd.DataFrame({"remaining_df": [left]}, dtype=float)
    found = _results(
        study={"denoising": {"strategy": "36P"}},
        tables={"scans": pd.DataFrame({"subject": ["a"]}), "quality": quality},
    )
    section = checklists_section(found, [Section(key="methods", title="Methods")])
    rows = [cells for _, cells in section.blocks[0].blocks[1].table.rows]
    (where,) = [cells[2] for cells in rows if cells[1].text.startswith("Nuisance regressors")]
    assert (where.links[0][0] if where.links else where.text) == status


def test_baseline_and_periods_say_what_was_recorded():
    from connectrial.report.trial_tables import people_tables

    cells = {"level": None, "count": None, "percent": None, "n_missing": 0, "smd": None}
    known = [
        cells | {"variable": "MADRS at before", "group": "a", "n": 9, "mean": 30.0, "sd": 4.0},
        cells | {"variable": "MADRS at before", "group": "b", "n": 9, "mean": 31.0, "sd": 4.0, "smd": -0.0443},
        cells | {"variable": "HAMD at before", "group": "a", "n": 9, "mean": 20.0, "sd": 2.0},
        cells | {"variable": "HAMD at before", "group": "b", "n": 0, "n_missing": 9},
    ]  # fmt: skip
    periods = pd.DataFrame(
        {
            "sequence": ["a then b"],
            "n_sequence": [4],
            "period": [1],
            "treatment": ["a"],
            "n_treated": [4],
        }
    ).assign(n_left=0, **{"MADRS, before": 4, "MADRS, scan": 0})
    found = _results(
        study={"scales": {"MADRS": {}, "HAMD": {}}},
        tables={"baseline": pd.DataFrame(known), "period_flow": periods},
    )
    flow, baseline = (block.table for block in people_tables(found))
    assert [head for head, _ in flow.heads][-2:] == ["not treated", "MADRS, before"]
    first, second = ([cell.text for cell in row] for _, row in baseline.rows)
    assert first == ["MADRS, before", "30.0 (4.0)", "31.0 (4.0)", "−0.04"]
    assert second[:3] == ["HAMD, before", "20.0 (2.0)", "not recorded"]


def test_unknown_measures_of_quality_are_named_once_and_in_words():
    unknown = [
        "mean_dvars",
        "mean_std_dvars",
        "sd_before in sgACC",
        "sd_before in dACC",
        "tsnr in sgACC",
    ]
    assert listed_measures(unknown) == "DVARS, regions' SD before denoising, temporal SNR"
    assert measure_words("sd_after in visual_cortex") == "SD after denoising in visual cortex"


def test_exposures_of_several_doses_stand_side_by_side():
    from connectrial.report.exposure_section import exposure_section

    cells = {
        "kind": "mean",
        "unit": "ng/ml",
        "outcome": "exposure",
        "analysis": "exposure",
        "p": None,
    }
    rows = [
        _row(**cells, term=f"now at day 7, {arm}", estimate=value, flags="SD 1, range 0 to 2")
        for arm, value in (("low", 1e-6), ("high", 12.34))
    ]
    one = _analysis(rows, name="exposure", what="exposure", role="descriptive", notes=("assumed",))
    found = _results(one, plan={"factors": {"arm": ["placebo", "low", "high"]}})
    section = exposure_section(found)
    shown = next(block.table for block in section.blocks if block.kind == "table")
    assert [head for head, _ in shown.heads] == ["mean over people", "low", "high"]
    assert [cell.text for cell in shown.rows[0][1]] == ["now at day 7", "< 0.001", "12.3"]


def test_the_answer_is_read_with_motion_where_it_may_be_behind_the_change():
    from connectrial.report.trial_sections import answer_section

    flag = "p < .05: motion may be behind the change"
    motion = _row(kind="correlation", role="quality", estimate=-0.605, flags=flag, outcome="A")
    other = motion | {"outcome": "B", "estimate": 0.9}
    quality = _analysis([motion, other], name="Motion", what="quality", role="quality")
    section = answer_section(_results(_analysis([_row(**_FAMILY)]), quality))
    (notes,) = [block.text for block in section.blocks if block.title == "Read with"]
    assert notes[-1].startswith("A: people whose motion changed")
    assert "(|r| 0.60, p < .05 each" in notes[-1]


def test_global_connectivity_has_its_parcels_on_the_brain():
    from connectrial.report.systems_panel import _parts

    parcels = pd.DataFrame({"parcel": ["a", "b"], "network": ["one", "two"]})
    found = _results(study={"sets": {"brain": {"parcels": ["*"]}}})
    assert _parts(found, {"gbc": "brain"}, parcels) == [("brain", ["a", "b"])]
    assert _parts(found, {"gbc": "two"}, parcels) == [("two", ["b"])]


def test_what_is_borrowed_from_files_and_models_is_said_in_words():
    """Columns with their units, terms as tables have them; files and parcels as they are called."""
    assert said("p of visit[m3]:arm[drug] (fdr_bh)") == (
        "p of visit m3 × arm drug (Benjamini-Hochberg FDR)"
    )
    assert said("max_dose_mg_kg_h, mean_r_ketamine") == "max dose (mg/kg/h), mean r ketamine"
    for whole in ("doi:10.1002/a_b", "phenotype/cgi_i.tsv", "L_amygdala", "primary: Holm at 10:30"):
        assert said(whole) == whole


def test_models_that_differ_in_the_outcome_alone_are_one_sentence():
    def with_methods(name, edges):
        text = f"Network FC of {name} (mean Fisher z over {edges} edges) was modelled by a mixed model."
        return _analysis([_row(analysis=name)], name=name, methods=text)

    (text, *_) = methods_text(_results(with_methods("Default", 10), with_methods("sgACC", 2)))[0]
    assert text == (
        "Network FC of Default (mean Fisher z over 10 edges) and of sgACC (mean Fisher z over 2 edges) "
        "were each modelled by a mixed model."
    )


def test_a_system_and_its_edges_stand_in_one_pair_of_brackets_and_are_joined(monkeypatch):
    from types import SimpleNamespace

    from connectrial.run import analysing

    monkeypatch.setattr(analysing, "rows_with_outcome", lambda *_: (None, "fc_z"))
    monkeypatch.setattr(analysing, "_mixed", lambda *given, **_: given[4])

    def what(title: str) -> str:
        edges = SimpleNamespace(edges=[0] * 28, measure="mean", unit="Fisher z")
        plan = SimpleNamespace(title=title, edges=edges)
        return analysing.analyse_network(plan, None, (), seed=1, units={})

    assert what("Default") == "Network FC of Default (mean Fisher z over 28 edges)"
    inside = what("Limbic (within)")
    assert inside == "Network FC of Limbic (within, mean Fisher z over 28 edges)"
    models = [
        _analysis([_row(analysis=name)], name=name, methods=f"{text} was modelled by it.")
        for name, text in (("Limbic", inside), ("Visual", inside.replace("Limbic", "Visual")))
    ]
    assert "edges) and of Visual (within, mean" in methods_text(_results(*models))[0][0]


def test_who_was_not_eligible_is_not_counted_again_as_without_a_scan():
    subjects = pd.DataFrame(
        {
            "subject": ["1", "2", "3"],
            "included": [True, True, False],
            "reason": ["", "", f"{NOT_ELIGIBLE}: age"],
        }
    )
    scans = pd.DataFrame(
        {
            "subject": ["1"], "session": ["a"], "visit": ["pre"], "included": [True],
            "analysed": [True], "reason": [""],
        }
    )  # fmt: skip
    available = pd.DataFrame(columns=["subject", "visit", "what", "state", "reason"])
    made = flow(subjects, scans, visits=["pre"], scan_visits=["pre"], available=available)
    assert made.set_index("box")["left_out"]["With a usable scan"] == "1 person: no scan on disk"


def test_sessions_stand_in_the_order_of_visits():
    """The trial's order, not that of the alphabet; people keep theirs."""
    scans = pd.DataFrame(
        [(who, session, visit) for who in "ba" for session, visit in _SESSIONS],
        columns=["subject", "session", "visit"],
    ).assign(included=True, analysed=True, reason="", run="1", kind="time series")
    results = _results(plan={"visits": ["before", "after"]}, tables={"scans": scans})
    people = person_views(results, None, codes={})
    assert [one.subject for one in people] == ["b", "a"]
    assert [one.session for one in people[0].scans] == ["pre1", "pre2", "post"]


_SESSIONS = (("post", "after"), ("pre1", "before"), ("pre2", "before"))


def test_influence_on_dozens_of_coefficients_shows_those_that_move_most():
    from connectrial.report.diagnostics_panel import _moved_most

    terms = [f"arm {i}" for i in range(26)]
    influence = pd.DataFrame(
        {"subject": "a", "term": terms, "change": [-float(i) for i in range(26)]}
    )
    assert list(_moved_most(influence)["term"]) == terms[16:]
    assert len(_moved_most(influence.head(9))) == 9


@pytest.mark.parametrize(
    ("unit", "of_outcome"),
    [
        ("Fisher z", "Fisher z"),
        ("Fisher z per ng/ml", "Fisher z"),
        ("", "Fisher z"),
    ],
)
def test_an_axis_has_the_unit_of_the_outcome_not_of_the_slope(unit, of_outcome):
    result = Result(
        name="A", title="A", role="primary", what="network FC", outcome="A",
        estimates=tidy([_row(unit=unit)]),
    )  # fmt: skip
    assert unit_of(result) == of_outcome
