"""The page: complete where there are data, silent where there are none, safe whatever tables say."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import re
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from connectrial.report import render_report, report_figures
from connectrial.results import Result, Results, tidy
from some_sections import render_some

VISITS = ("pre", "post")
NASTY = "<script>alert(1)</script> & \"quoted\" $x^2$ 'x'"


def _row(analysis, term, estimate, **more):
    se = more.pop("se", 0.03)
    return {
        "analysis": analysis,
        "role": "primary",
        "kind": "coefficient",
        "analysis_set": "group TRD",
        "outcome": analysis,
        "term": term,
        "estimate": estimate,
        "unit": "Fisher z",
        "se": se,
        "statistic": estimate / se,
        "statistic_name": "t",
        "df": 37.0,
        "df_method": "residual",
        "declared": True,
        "alternative": "two-sided",
        "p": 0.0123,
        "ci_level": 0.95,
        "ci_low": estimate - 2.0 * se,
        "ci_high": estimate + 2.0 * se,
        "n_subjects": 12,
        "n_observations": 22,
        **more,
    }


def _hypothesis(name, role, shift, *, p=0.0123, adjusted=0.0246, title=None):
    member = role == "primary"
    rows = []
    for term, estimate in (("time", -shift), ("time:response", shift * 0.8)):
        common = {"role": role, "p": p}
        inside = {
            "family": "primary",
            "family_size": 2,
            "p_adjusted": adjusted,
            "adjustment": "bonferroni (2 tests)",
        }
        rows.append(_row(name, term, estimate, **common, **(inside if member else {})))
        rows.append(
            _row(
                name,
                term,
                estimate,
                **{
                    **common,
                    "declared": False,
                    "df": 18.43,
                    "df_method": "satterthwaite",
                    "p": 0.0456,
                },
            )
        )
    rows.append(_row(name, "Intercept", 0.3, role=role))
    means = pd.DataFrame(
        [
            {
                "visit": visit,
                "by": level,
                "by_factor": "response",
                "estimate": 0.3 - shift * (visit == "post") * (level == "responder"),
                "se": 0.02,
                "df": 20.0,
                "ci_low": 0.26,
                "ci_high": 0.34,
                "n_subjects": 6,
                "source": "model",
            }
            for visit in VISITS
            for level in ("responder", "non-responder")
        ]
    )
    return Result(
        name=name,
        title=title or f"{name}, within",
        role=role,
        what="network FC",
        outcome=name,
        estimates=tidy(rows),
        means=means,
        methods=f"Network FC of {name} was modelled by a mixed model with a random intercept.",
        citations=("laird1982", "nobody1900"),
        design={
            "formula": "fc_z ~ time + time:response + (1 | subject)",
            "columns": ["Intercept", "time"],
            "rank": 3,
        },
        notes=("response was not randomised",),
    )


def siegel_like(*, n_parcels=12, name="Infusion trial", simulated=True, nasty="") -> Results:
    """A trial of 12 patients and 6 controls, small, made up."""
    rng = np.random.default_rng(3)
    patients = [f"p{i:02d}" for i in range(12)]
    controls = [f"c{i:02d}" for i in range(6)]
    subjects = pd.DataFrame(
        {
            "subject": patients + controls,
            "group": ["TRD"] * 12 + ["control"] * 6,
            "response": (["responder", "non-responder"] * 6 + [np.nan] * 6),
            "included": [True] * 17 + [False],
            "reason": [""] * 17 + [f"too much motion {nasty}"],
        }
    )
    fc, sessions, quality, availability = [], [], [], []
    for outcome in ("Default", "Visual"):
        for subject in patients + controls:
            base = rng.normal(0.3, 0.08)
            for visit in VISITS if subject in patients else ("controls",):
                if (subject, visit) in {("p10", "post"), ("p11", "post")}:
                    continue
                value = base + rng.normal(0, 0.04)
                fc.append({"subject": subject, "visit": visit, "outcome": outcome, "fc_z": value})
                for session in ("pre1", "pre2") if visit == "pre" else (visit,):
                    sessions.append(
                        {
                            "subject": subject,
                            "session": session,
                            "visit": visit,
                            "outcome": outcome,
                            "fc_z": value + rng.normal(0, 0.02),
                        }
                    )
    for subject in patients + controls:
        for visit in VISITS if subject in patients else ("controls",):
            gone = (subject, visit) in {("p10", "post"), ("p11", "post")}
            state = "missing" if gone else "partial" if subject == "p03" else "complete"
            availability.append(
                {"subject": subject, "visit": visit, "what": "scan", "state": state, "reason": ""}
            )
            if subject in patients:
                availability.append(
                    {
                        "subject": subject,
                        "visit": visit,
                        "what": "MADRS",
                        "state": "complete",
                        "reason": "",
                    }
                )
            if not gone:
                quality.append(
                    {
                        "subject": subject,
                        "session": visit,
                        "visit": visit,
                        "mean_fd_mm": rng.gamma(4, 0.03),
                        "kept_minutes": rng.normal(9, 1),
                    }
                )
    scores = pd.DataFrame(
        [
            {
                "subject": s,
                "visit": v,
                "scale": "MADRS",
                "score": 30 - 14 * (v == "post") + rng.normal(0, 5),
            }
            for s in patients
            for v in VISITS
        ]
    )
    parcels = [f"LH_{'Default' if i < n_parcels // 2 else 'Vis'}_{i + 1}" for i in range(n_parcels)]
    upper = np.triu_indices(n_parcels, 1)
    statistic = rng.normal(0, 1, len(upper[0]))
    edges = pd.DataFrame(
        {
            "parcel_a": [parcels[i] for i in upper[0]],
            "parcel_b": [parcels[i] for i in upper[1]],
            "network_a": ["Default" if "Default" in parcels[i] else "Vis" for i in upper[0]],
            "network_b": ["Default" if "Default" in parcels[i] else "Vis" for i in upper[1]],
            "estimate": statistic * 0.03,
            "se": 0.03,
            "df": 20.0,
            "statistic": statistic,
            "p": np.clip(rng.uniform(size=len(statistic)), 0.001, 1),
            "p_adjusted": np.where(np.abs(statistic) == np.abs(statistic).max(), 0.01, 0.9),
            "n_subjects": 12,
            "flags": "",
        }
    )
    matrix = np.tanh(rng.normal(0.1, 0.2, (n_parcels, n_parcels)))
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, np.nan)
    mean_fc = pd.DataFrame(matrix, index=parcels, columns=parcels)
    analyses = (
        _hypothesis("Default", "primary", 0.08, title=f"Default, within {nasty}".strip()),
        _hypothesis("Visual", "negative control", 0.004, p=0.62),
        Result(
            name="MADRS",
            title="MADRS over time",
            role="secondary",
            what="score",
            outcome="MADRS",
            estimates=tidy(
                [_row("MADRS", "time", -14.2, role="secondary", unit="points", se=1.5, p=1e-9)]
            ),
            means=pd.DataFrame(
                {
                    "visit": list(VISITS), "by": "", "by_factor": "", "estimate": [30.0, 16.0],
                    "se": 1.2, "df": 11.0, "ci_low": [27.0, 13.0], "ci_high": [33.0, 19.0],
                    "n_subjects": 12, "source": "model",
                }
            ),
        ),
        Result(
            name="response",
            title="Response at post",
            role="descriptive",
            what="response",
            outcome="response",
            estimates=tidy(
                [
                    {
                        "analysis": "response", "role": "descriptive", "kind": "proportion",
                        "outcome": "response", "term": "responder", "estimate": 0.5, "ci_level": 0.95,
                        "ci_low": 0.25, "ci_high": 0.75, "n_subjects": 12, "n_observations": 12,
                        "declared": True, "df_method": "none",
                    }
                ]
            ),
        ),
        Result(
            name="patients and controls",
            title="Patients and controls",
            role="secondary",
            what="groups",
            outcome="Default, Visual",
            estimates=tidy(
                [_row("patients and controls", "Default at pre", 0.06, kind="difference", role="secondary", df_method="none")]
            ),
        ),
        Result(
            name="Default: reliability at pre",
            title="Default: pre1 and pre2",
            role="quality",
            what="reliability",
            outcome="Default",
            estimates=tidy(
                [
                    _row("Default: reliability at pre", "ICC(2,1)", 0.8, kind="reliability", role="quality", unit="", p=1e-5)
                ]
            ),
        ),
        Result(
            name="all edges",
            title="time x response at every edge",
            role="exploratory",
            what="edges",
            outcome="every edge",
            estimates=tidy([]),
        ),
    )  # fmt: skip
    return Results(
        study={
            "study": {"name": name, "registration": "NCT00000000", "description": f"What it asks. {nasty}"},
            "groups": {"patients": "TRD", "controls": "control"},
            "scales": {"MADRS": {"unit": "points", "better": "lower"}},
            "hypothesis": [{"name": "Default", "tests": ["time", "time:response"]}],
            "family": {"primary": {"method": "bonferroni", "alpha": 0.05}},
            "censoring": {"min_kept_minutes": 4.0},
        },
        plan={
            "hash": "abc123", "survey_hash": "def456", "seed": 7, "version": "0.1.0",
            "simulated": simulated, "stand_ins": ["censoring", "sets.sgACC"], "visits": [*VISITS, "controls"],
            "factors": {"group": ["TRD", "control"], "response": ["responder", "non-responder"]},
            "warnings": [f"a warning {nasty}"],
        },
        analyses=analyses,
        tables={
            "subjects": subjects,
            "flow": pd.DataFrame(
                {
                    "step": [0, 1, 2, 3, 3],
                    "box": ["Known from tables and scans", "With a usable scan", "Analysed", "Scan at pre", "Scan at post"],
                    "n_subjects": [18, 18, 17, 12, 10],
                    "n_scans": pd.array([30, 29, 28, 12, pd.NA], dtype="Int64"),
                    "left_out": ["", f"1 scan: too short {nasty}", "1 person: too much motion\n2 people: not treated", "", ""],
                }
            ),
            "availability": pd.DataFrame(availability),
            "visit_fc": pd.DataFrame(fc),
            "network_fc": pd.DataFrame(sessions),
            "scores": scores,
            "quality": pd.DataFrame(quality),
            "scans": pd.DataFrame(quality).assign(included=True, reason="").drop(columns="kept_minutes"),
            "weak_parcels": pd.DataFrame(
                {"subject": ["p00", "p00", "p01"], "session": "pre", "parcel": [parcels[0], parcels[1], parcels[0]], "ratio": 0.02, "reason": "low signal"}
            ),
            "truth": pd.DataFrame(
                {
                    "name": ["Default", "Visual"], "term": ["time", "time"], "truth": [-0.08, 0.0], "estimate": [-0.07, 0.05],
                    "se": 0.02, "ci_low": [-0.11, 0.01], "ci_high": [-0.03, 0.09], "covered": [True, False], "note": "",
                }
            ),
        },
        edges={"all edges": edges},
        matrices={"pre": mean_fc, "post": mean_fc * 0.9},
        software={"connectrial": "0.1.0", "numpy": "2.4"},
    )  # fmt: skip


class Reader(HTMLParser):
    """Collects ids, addresses, text and structure, and refuses tags that do not close."""

    VOID = frozenset(
        [
            "meta",
            "link",
            "br",
            "input",
            "img",
            "hr",
            "path",
            "rect",
            "line",
            "circle",
            "use",
            "image",
            "polygon",
        ]
    )

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.ids, self.links, self.sources, self.tags, self.stack = [], [], [], [], []
        self.text, self.labelled_svg = [], 0

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        if "href" in found:
            self.links.append(found["href"])
        self.sources += [found[k] for k in ("src", "xlink:href", "srcset", "action") if k in found]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        assert self.stack[-1] == tag, f"</{tag}> closes <{self.stack[-1]}>"
        self.stack.pop()

    def handle_data(self, data):
        if self.stack and self.stack[-1] not in ("script", "style"):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.stack
    return reader


@pytest.fixture(scope="module")
def results() -> Results:
    return siegel_like()


@cache
def siegel_page(nasty: str = "") -> str:
    """Render this trial once for all files of tests that read its page."""
    return render_report(siegel_like(nasty=nasty, name=nasty) if nasty else siegel_like())


@pytest.fixture(scope="module")
def page() -> str:
    return siegel_page()


def test_page_is_well_formed_and_ids_are_unique(page):
    """HTML: every element that opens closes, and an id names one element."""
    reader = read(page)
    assert len(reader.ids) == len(set(reader.ids))


def _without_scripts(page: str) -> str:
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_every_link_inside_the_page_has_its_target(page):
    """Contents, clip paths and markers: a '#x' without an element x is dead."""
    reader = read(page)
    ids = set(reader.ids)
    inside = [link[1:] for link in reader.links if link.startswith("#")]
    inside += re.findall(r"url\(#([^)]+)\)", _without_scripts(page))
    assert len(inside) > 20
    assert not [name for name in inside if name not in ids]


def test_nothing_is_fetched(page):
    """Issue 6: a policy of default-src 'none', and no address but data: and #."""
    reader = read(page)
    policy = [
        a["content"]
        for t, a in reader.tags
        if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'; script-src 'sha256-")
    rules = dict(rule.split(" ", 1) for rule in policy[0].split("; "))
    for name, count in (("script", 2), ("style", 1)):
        texts = re.findall(f"\n<{name}>(.*?)</{name}>", page, flags=re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in texts]
        allowed = rules[f"{name}-src{'-elem' if name == 'style' else ''}"]
        assert len(digests) == count
        assert allowed == " ".join(f"'sha256-{digest}'" for digest in digests)
    # Only style attributes of drawings are let through, no script and no address.
    assert policy[0].count("unsafe") == 1
    assert "style-src-attr 'unsafe-inline'" in policy[0]
    assert "http" not in policy[0]
    assert all(link.startswith(("#", "data:")) for link in reader.links)
    assert all(source.startswith(("data:image/png", "#")) for source in reader.sources)
    assert not re.search(r"@import|url\((?!#)", _without_scripts(page))
    assert not [t for t, _ in reader.tags if t in ("link", "iframe", "object", "embed", "img")]


def test_text_from_tables_is_escaped_and_shown_as_it_is():
    """Issue 6: names, titles, reasons and warnings with markup, quotes and dollar signs in them."""
    page = siegel_page(NASTY)
    assert "<script>alert" not in page
    reader = read(page)
    scripts = [t for t, _ in reader.tags if t == "script"]
    assert len(scripts) == 2  # Vega and the page's own
    shown = " ".join("".join(reader.text).split())
    assert shown.count(NASTY) >= 4
    assert not [a for _, attributes in reader.tags for a in attributes if a.startswith("on")]


def test_sections_follow_the_data(results, page):
    """Sections without data are absent, not empty."""
    keys = [a["id"] for t, a in read(page).tags if t == "section"]
    assert keys == [
        "answer", "people", "clinical", "quality", "hypotheses", "effects", "groups", "reliability",
        "matrices", "exploratory", "truth", "diagnostics", "estimates", "methods", "checklists", "provenance",
    ]  # fmt: skip
    bare = Results(study={}, plan={}, analyses=(results["Visual"],), tables={})
    keys = [a["id"] for t, a in read(render_report(bare)).tags if t == "section"]
    assert keys == [
        "answer",
        "hypotheses",
        "effects",
        "diagnostics",
        "estimates",
        "methods",
        "provenance",
    ]


def test_an_empty_run_still_gives_a_page():
    """No analysis, no table: a page that says nothing rather than an error."""
    page = render_report(Results(study={}, plan={}, analyses=(), tables={}))
    assert "Unnamed study" in page
    read(page)


def test_simulated_data_say_so_in_every_section(page):
    """Issue 2: simulated data say so in every output; real data never do."""
    reader = read(page)
    titles = [t for t, a in reader.tags if t == "h2"]
    chips = [a for _, a in reader.tags if "sim" in (a.get("class") or "").split()]
    named = [a for t, a in reader.tags if t == "section" and a["id"] == "truth"]
    assert len(chips) == len(titles) - len(named)
    assert "Simulated data" in "".join(reader.text)
    real = render_some(siegel_like(simulated=False), "answer", "people", "methods", "provenance")
    assert 'class="banner"' not in real
    assert "chip sim" not in real


def _section_text(page: str, key: str) -> str:
    start = page.index(f'<section id="{key}"')
    return html.unescape(re.sub(r"<[^>]+>", " ", page[start : page.index("</section>", start)]))


def test_the_verdict_strip_says_all_that_a_p_value_needs(page):
    """Design 2: no p without its df method, no adjusted p without its family; the other df beside."""
    text = " ".join(_section_text(page, "answer").split())
    assert "−0.0800 Fisher z" in text
    assert "95% CI [−0.140, −0.020]" in text
    assert "t(37.0) = −2.67" in text
    assert "residual df, declared" in text
    assert "Satterthwaite df 18.4: p = .0456" in text
    assert ".012" in text
    assert ".025 Bonferroni (2 tests) family primary" in text
    assert "passes" in text
    assert "no change shown" in text
    assert "2 of 2 primary tests pass after adjustment" in text
    assert "12 people, 22 observations" in text
    assert text.count("response was not randomised") == 1


@pytest.mark.parametrize(("adjusted", "verdict"), [(0.0499, "passes"), (0.05, "does not pass")])
def test_the_verdict_turns_at_alpha(adjusted, verdict):
    """Family alpha .05: below passes, at it does not."""
    one = _hypothesis("Default", "primary", 0.08, adjusted=adjusted)
    page = render_report(
        Results(study={"family": {"primary": {"alpha": 0.05}}}, plan={}, analyses=(one,), tables={})
    )
    strip = _section_text(page, "answer")
    assert f" {verdict} " in " ".join(strip.split()) + " "
    assert ("does not pass" in strip) == (verdict == "does not pass")


def test_a_family_has_its_own_alpha():
    """study.family.<name>.alpha decides, not .05."""
    one = _hypothesis("Default", "primary", 0.08, adjusted=0.02)
    study = {"family": {"primary": {"alpha": 0.01}}}
    page = render_report(Results(study=study, plan={}, analyses=(one,), tables={}))
    assert "0 of 2 primary tests pass" in page


def test_downloads_hold_what_is_shown(page, results):
    """Every figure's data is a link: the estimates come back as they went in, gzipped ones too."""
    links = [a for t, a in read(page).tags if t == "a" and "download" in a]
    by_name = {a["download"]: a["href"] for a in links}
    assert len(by_name) >= 15
    name = next(key for key in by_name if key.startswith("results.tsv"))
    text = _decoded(by_name[name])
    assert len(text.splitlines()) == 1 + len(results.estimates)
    assert text.splitlines()[0].split("\t")[:3] == ["analysis", "family", "family_size"]
    for href in by_name.values():
        assert "\t" in _decoded(href)


def _decoded(href: str) -> str:
    head, body = href.split(",", 1)
    raw = base64.b64decode(body)
    return (gzip.decompress(raw) if "gzip" in head else raw).decode()


def test_every_figure_says_how_to_read_it_and_has_words_for_those_who_cannot_see(page):
    """Field 4.2: each figure has a 'how to read' line and a text alternative."""
    reader = read(page)
    figures = [a for t, a in reader.tags if t == "figure"]
    pictures = [a for t, a in reader.tags if t == "svg" and a.get("role") == "img"]
    assert len(figures) == len(pictures) >= 12
    assert all(len(a["aria-label"]) > 20 for a in pictures)
    assert page.count("How to read it.") == len(figures)


def test_the_same_results_give_the_same_page(results, page):
    """A page is a function of the results: no clock, no random id."""
    assert render_report(results) == page


def test_a_large_study_stays_below_six_megabytes():
    """332 parcels, two mean matrices and an edge map: issue 6 allows 15 MB, the brief 6."""
    full = siegel_like(n_parcels=332)
    heavy = Results(
        study={}, plan={}, tables={}, edges=full.edges, matrices=full.matrices,
        analyses=(full["all edges"],),
    )  # fmt: skip
    large = render_report(heavy)
    assert "54\u2009946 edges" in large
    # All else in the small page weighs some 0.6 MB.
    assert len(large.encode()) < 5_000_000


def test_figures_for_saving_are_the_figures_of_the_page(results, page):
    """Names fit for files, each a matplotlib figure that knows no global state."""
    figures = report_figures(results)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in figures)
    assert all(isinstance(figure, Figure) for figure in figures.values())
    assert {"hypothesis_default", "matrices", "edges_all_edges", "forest_fisher_z"} <= set(figures)
    # The flow and the circle of networks are drawings that are no matplotlib figures.
    assert len(figures) == page.count("<figure ") - 2


def _with(result: Result, rows: list[dict]) -> Results:
    changed = Result(
        name=result.name, title=result.title, role=result.role, what=result.what, outcome=result.outcome,
        estimates=pd.concat([result.estimates, tidy(rows)], ignore_index=True), means=result.means,
    )  # fmt: skip
    return Results(study={}, plan={}, analyses=(changed,), tables={})


def test_a_sensitivity_stands_beside_its_test_and_is_not_taken_for_another_df(results):
    """Design 3: the 4-column model stands beside the 3-column one, with the reason printed."""
    row = _row("Default", "time:response", 0.031, p=0.3, role="sensitivity", declared=False)
    row |= {"flags": "with the main effect of response", "df_method": "satterthwaite"}
    page = render_report(_with(results["Default"], [row]))
    text = " ".join(_section_text(page, "answer").split())
    assert "with the main effect of response: 0.0310, p = .30" in text
    assert text.count("Satterthwaite df 18.4") == 2
    assert "2 of 2 primary tests" in text
    data = report_figures(_with(results["Default"], [row]))["forest_fisher_z"]
    words = [t.get_text() for t in data.axes[1].texts]
    assert sum(w.startswith("0.0310") for w in words) == 1


def test_a_negative_control_that_moves_is_a_warning():
    """A control with p < .05 must not read as reassurance."""
    moved = _hypothesis("Visual", "negative control", 0.05, p=0.01)
    strip = _section_text(
        render_report(Results(study={}, plan={}, analyses=(moved,), tables={})), "answer"
    )
    assert "casts doubt on specificity" in strip
    assert "no change shown" not in strip


def test_an_analysis_that_failed_says_so_and_the_page_stands():
    """Rows that could not be estimated are shown as such; an analysis without rows keeps its notes."""
    lost = _row(
        "Default",
        "time",
        np.nan,
        p=np.nan,
        se=np.nan,
        flags="singular",
        df=np.nan,
        family="primary",
    )
    dead = Result(
        name="Limbic", title="Limbic", role="primary", what="network FC", outcome="Limbic",
        estimates=tidy([]), notes=("not done: nobody has two observations",),
    )  # fmt: skip
    half = Result(
        name="Default", title="Default", role="primary", what="network FC", outcome="Default",
        estimates=tidy([lost]),
    )  # fmt: skip
    page = render_report(Results(study={}, plan={}, analyses=(half, dead), tables={}))
    assert "not done: nobody has two observations" in _section_text(page, "hypotheses")
    assert "nan" not in _section_text(page, "hypotheses").lower()


def test_weak_parcels_are_counted_by_parcel_and_by_scan(page):
    """Design 3: 'weak in n of N scans', and each scan's list."""
    text = " ".join(_section_text(page, "people").split())
    assert "2 parcels are weak in at least one of 28 scans" in text
    assert "LH_Default_1 Default 2 2 of 28 scans" in text
    assert "p00 pre 2 LH_Default_1, LH_Default_2" in text


def test_the_methods_name_family_and_references(page):
    """Field 3.7: the paragraph covers the statistics too."""
    text = " ".join(_section_text(page, "methods").split())
    assert (
        "P values of the 2 tests of the family 'primary' were adjusted by Bonferroni (2 tests) and"
        in text
    )
    assert "judged at .05" in text
    assert "Dunn OJ. Multiple comparisons among means" in text


def test_unknown_citations_are_named_not_hidden(page):
    """A key without a reference must be seen, not dropped."""
    text = _section_text(page, "methods")
    assert "Laird NM, Ware JH" in text
    assert "[nobody1900]: no full reference on file." in text


def test_change_bars_take_the_contrast_of_first_and_last_visit(results):
    """Among contrasts of several visits the drawn one is last minus first, by level."""
    rows = [
        _row("Default", f"post - pre, {level}", change, kind="contrast")
        for level, change in (("responder", -0.11), ("non-responder", -0.05))
    ]
    rows.append(_row("Default", "later - pre, responder", 0.5, kind="contrast"))
    full = Results(
        study=results.study, plan=results.plan, tables=results.tables,
        analyses=_with(results["Default"], rows).analyses,
    )  # fmt: skip
    change = report_figures(full)["hypothesis_default"].axes[-1]
    assert [bar.get_height() for bar in change.patches] == pytest.approx([-0.11, -0.05])


def test_the_answer_is_one_sentence_with_its_controls(page):
    """How many pass, under which adjustment, and whether the controls stayed still."""
    text = " ".join(_section_text(page, "answer").split())
    assert (
        "2 of 2 primary tests pass after adjustment (family primary: Bonferroni (2 tests))." in text
    )
    assert "Negative controls: none of 2 tests shows a change (p < .05)." in text
