"""Who is who stays in the lab: codes in page and figures, and exclusions that understand them."""

from __future__ import annotations

import base64
import gzip
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from command_line import connectrial
from connectrial import load_results, load_study, plan_study, render_report, run_plan
from connectrial.errors import InputError
from connectrial.io.ids import codes_for, read_codes, read_exclusions
from connectrial.report.identifiers import people_named, with_codes, without_hidden
from connectrial.report.saving import save_report
from connectrial.report.scan_links import with_pages
from connectrial.report.scan_views import pages_table, person_views
from connectrial.report.tsv import tsv_text
from connectrial.run.excluding import exclude_listed
from tiny import PARCELS, series_path, write_series
from without_pictures import without_pictures

HOSTILE = [
    "<script>alert(1)</script>",
    '"onload="alert(1)',
    "</script><img src=x onerror=alert(2)>",
    "</title></style><svg onload=alert(3)>",
    "'; --> ]]> {{ 7 * 7 }} &lt;b&gt;",
    '=HYPERLINK("x")',
    "a\u202eb\u2066c",
    "$\\frac{1}{0}$ and $x_1$",
]


def rename(folder, old, new):
    """Give a person of the tiny trial another label on disk."""
    for path in [*folder.rglob("*")][::-1]:
        if f"sub-{old}" in path.name:
            path.rename(path.with_name(path.name.replace(f"sub-{old}", f"sub-{new}")))
    for table in folder.rglob("*.tsv"):
        text = table.read_text()
        if table.name in ("participants.tsv", "madrs.tsv"):
            table.write_text(re.sub(rf"^sub-{old}\t", f"sub-{new}\t", text, flags=re.M))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Results of a trial whose people bear names, numbers and names of things."""
    from tiny import write_tiny

    study = write_tiny(tmp_path_factory.mktemp("coded") / "tiny")
    for old, new in {"01": "Smith", "02": "KET204", "04": "pat104b"}.items():
        rename(study.parent / "data", old, new)
    with study.open("a") as stream:
        stream.write(
            '\n[[exclude]]\nsubject = "sub-06"\nreason = "a twin of sub-07 and of KET204"\n'
            '[[exclude]]\nsubject = "pat104b"\nsession = "b"\nreason = "fell asleep, as subject \'02\'"\n'
        )
    data = study.parent / "data"
    write_series(series_path(data, "08", "b"), pd.DataFrame(1.0, range(40), PARCELS).to_numpy())
    out = study.parent / "out"
    results = run_plan(plan_study(load_study(study)), out)
    assert results is not None
    with without_pictures():
        save_report(results, out)
    return study, results, out


def everything(out):
    """All text that leaves the lab: the page, its downloads, figures and their data."""
    page = (out / "report.html").read_text()
    beside = [*(out / "people").iterdir(), out / "scans.html"]
    assert len(beside) > 2
    page += "".join(one.name + one.read_text() for one in beside)
    texts = [re.sub(r'base64,[^"]+', "", page)]
    for kind, packed in re.findall(r"data:([a-z/-]+);base64,([^\"]+)", page):
        raw = base64.b64decode(packed)
        raw = gzip.decompress(raw) if kind == "application/gzip" else raw
        if not kind.startswith("image"):
            texts.append(raw.decode())
    texts += [
        path.read_text()
        for path in [*(out / "group" / "figures").iterdir(), *(out / "logs").iterdir()]
        if path.suffix not in (".png", ".pdf")
    ]
    return "\n".join(texts)


def test_nobody_is_named_in_page_figures_or_downloads(ran):
    """Law: no identifier, as sub-X or bare where it is no plain number, in what leaves the lab."""
    _, results, out = ran
    text = everything(out)
    people = set(results.tables["subjects"]["subject"])
    assert {"Smith", "KET204", "pat104b", "07"} <= people
    assert not [one for one in people if re.search(rf"sub-{one}(?![A-Za-z0-9])", text)]
    assert "Smith" not in text
    assert "KET204" not in text
    assert "pat104b" not in text
    codes = read_codes(out / "ids.tsv")
    assert set(codes) >= people
    for subject in people - {"06"}:
        assert codes[subject] in text
    assert f"a twin of sub-{codes['07']} and of {codes['KET204']}" in text
    assert "ids.tsv" not in text


def test_columns_of_people_hold_codes_alone(ran):
    """Bare numbers are codes in columns of people, and stay numbers everywhere else."""
    _, results, out = ran
    codes = read_codes(out / "ids.tsv")
    coded = with_codes(results, codes)
    for name, table in coded.tables.items():
        if "subject" in table:
            assert set(table["subject"]) <= set(codes.values()), name
    assert coded.study["exclude"][0]["subject"] == codes["06"]
    assert coded.study["exclude"][1]["subject"] == codes["pat104b"]
    before, after = results.tables["scores"], coded.tables["scores"]
    merged = after.merge(
        before.assign(subject=before["subject"].map(codes)), on=["subject", "visit", "scale"]
    )
    assert len(merged) == len(before) == len(after)
    assert (merged["score_x"] == merged["score_y"]).all()
    pd.testing.assert_frame_equal(results.estimates, coded.estimates)


def test_order_does_not_tell_who_is_who(ran):
    """Law: people stand in the order of their codes, which is drawn anew for each folder."""
    _, results, out = ran
    coded = with_codes(results, read_codes(out / "ids.tsv"))
    listed = list(coded.tables["subjects"]["subject"])
    assert listed == sorted(listed)
    flow = coded.tables["flow"]["box"]
    assert list(flow) == list(results.tables["flow"]["box"])


def test_codes_stay_and_do_not_come_from_the_seed(ran, tmp_path):
    """Law: a rerun finds the same codes; another folder of the same run has others."""
    _, results, out = ran
    codes, page = (out / "ids.tsv").read_text(), (out / "report.html").read_text()
    again = load_results(out)
    mine = codes_for(out, people_named(again))
    coded = with_codes(again, mine)
    listed = pages_table(person_views(coded, None, codes=mine))
    assert render_report(with_pages(coded, listed)) == page
    assert (out / "ids.tsv").read_text() == codes
    other = codes_for(tmp_path, people_named(results))
    assert other == read_codes(tmp_path / "ids.tsv")
    assert set(other) == set(mine)
    assert not set(other.values()) & set(mine.values())
    assert len(set(mine.values())) == len(mine)


def test_new_people_get_codes_and_old_ones_keep_theirs(tmp_path):
    first = codes_for(tmp_path, ["01", "02"])
    more = codes_for(tmp_path, ["02", "03"])
    assert more["02"] == first["02"]
    assert read_codes(tmp_path / "ids.tsv") == first | more
    assert all(re.fullmatch(r"[A-Z][A-Z2-9]{5}", code) for code in more.values())


def test_a_damaged_list_of_codes_is_one_message(tmp_path):
    (tmp_path / "ids.tsv").write_text("subject\tcode\n01\tA2BCDE\n02\tA2BCDE\n")
    with pytest.raises(InputError, match=r"ids.tsv: code 'A2BCDE' stands there twice"):
        codes_for(tmp_path, ["01"])
    (tmp_path / "ids.tsv").write_text("who\n01\n")
    with pytest.raises(InputError, match="must have the columns subject and code"):
        codes_for(tmp_path, ["01"])


def test_identifiers_are_kept_where_asked_for(ran, tmp_path):
    """Of the results, what needs a few figures: the people."""
    _, results, _ = ran
    few = replace(results, analyses=(), edges={}, matrices={})
    with without_pictures():
        save_report(few, tmp_path, identifiers="keep")
    assert not (tmp_path / "ids.tsv").exists()
    assert "sub-07 and of KET204" in (tmp_path / "report.html").read_text()


def test_tables_on_disk_keep_the_labs_own_identifiers(ran):
    _, _, out = ran
    assert "Smith" in (out / "group" / "subjects.tsv").read_text()


def test_exclusions_understand_codes_and_sessions(ran):
    """A list is as if its rows stood in the study file: same fates, same hash."""
    study, _, out = ran
    codes = read_codes(out / "ids.tsv")
    listed = study.parent / "excluded.tsv"
    listed.write_text(
        "subject\tsession\treason\n"
        f"{codes['09']}\tn/a\twithdrew\nsub-10\tses-b\tartefact\nsmith\t\tx\n".replace(
            "smith", "Smith"
        )
    )
    own = study.parent / "own.toml"
    plan = plan_study(exclude_listed(load_study(study), listed, ids=out / "ids.tsv"))
    assert not plan.problems
    people = plan.people.subjects.set_index("subject")["reason"]
    assert people["09"] == "withdrew"
    assert people["Smith"] == "x"
    scans = plan.people.scans.set_index(["subject", "session"])["reason"]
    assert scans["10", "b"] == "artefact"
    exclude = [*load_study(study).as_plain()["exclude"]]
    exclude += [
        {"subject": "09", "session": None, "reason": "withdrew"},
        {"subject": "10", "session": "b", "reason": "artefact"},
        {"subject": "Smith", "session": None, "reason": "x"},
    ]
    rows = "".join(
        f'[[exclude]]\nsubject = "{one["subject"]}"\nreason = "{one["reason"]}"\n'
        + (f'session = "{one["session"]}"\n' if one["session"] else "")
        for one in exclude
    )
    text = study.read_text()
    own.write_text(text[: text.index("[[exclude]]")] + rows)
    assert plan_study(load_study(own)).hash == plan.hash


def test_unknown_exclusions_are_one_message(tiny):
    listed = tiny.parent / "excluded.tsv"
    listed.write_text("subject\tsession\treason\nA7QRST\t\tx\n12x\t\ty\n01\tc\tz\n02\tb\tok\n")
    plan = plan_study(exclude_listed(load_study(tiny), listed))
    named = [one for one in plan.problems if "exclude" in one]
    assert len(named) == 1
    for part in ("no 'A7QRST'", "no '12x' (did you mean '12'?)", "no session 'c' of '01'"):
        assert part in named[0]
    # A run on one person is told of the others, who are not there.
    study = exclude_listed(load_study(tiny), listed)
    assert not [one for one in plan_study(study, subjects=["03"]).problems if "exclude" in one]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("who\treason\n01\tx\n", "the column subject is missing"),
        ("subject\n01\n", "the column reason is missing"),
        ("subject\treason\n01\t\n\tx\n", "row 2 has no reason"),
    ],
)
def test_wrong_lists_are_refused(tmp_path, text, message):
    (tmp_path / "list.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_exclusions(tmp_path / "list.tsv")


def test_the_commands_take_lists_and_say_what_is_wrong(ran):
    study, _, out = ran
    listed = study.parent / "one.csv"
    code = read_codes(out / "ids.tsv")["11"]
    listed.write_text(f"code,reason\n{code},moved away\n")

    told = connectrial("check", study, "--exclude", listed, "--ids", out / "ids.tsv")
    assert told.returncode == 0, told.stderr
    assert "moved away" in told.stdout
    told = connectrial("check", study, "--exclude", listed)
    assert told.returncode == 2
    assert f"no '{code}'" in told.stderr
    told = connectrial("report", out, "--identifiers", "none")
    assert told.returncode == 2
    assert "allowed are codes and keep" in told.stderr


# --------------------------------------------------------------------------------------------
# Text from tables


class Elements(HTMLParser):
    """Counts what a browser would make of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}


def elements(page):
    reader = Elements()
    reader.feed(page)
    reader.close()
    return reader


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A tiny trial whose tables and study file hold what may break a page."""
    from tiny import write_tiny

    study = write_tiny(tmp_path_factory.mktemp("hostile") / "tiny")
    names = dict(
        zip(["name", "session", "amy", "default", "reason", "arm", "what"], HOSTILE, strict=False)
    )
    text = study.read_text()
    text = text.replace('name = "Tiny trial"', f"name = {quoted(''.join(HOSTILE))}")
    text = text.replace('name = "Visual"', f"name = {quoted(names['what'])}")
    text = text.replace('name = "Amygdala to Default"', f"name = {quoted(names['default'])}")
    text = text.replace('name = "Every edge"', f"name = {quoted(HOSTILE[7])}")
    text = text.replace('name = "after"', f"name = {quoted(names['session'])}")
    text = text.replace('visit = "after"', f"visit = {quoted(names['session'])}")
    text = text.replace('["placebo", "drug"]', f"['placebo', {quoted(names['amy'])}]")
    text += f'\n[[exclude]]\nsubject = "06"\nreason = {quoted(names["name"])}\n'
    text += f'[[exclude]]\nsubject = "07"\nreason = {quoted(HOSTILE[5])}\n'
    study.write_text(text)
    data = study.parent / "data"
    people = data / "participants.tsv"
    cell = names["amy"]
    people.write_text(people.read_text().replace("drug", cell))
    for path in data.rglob("*_timeseries.tsv"):
        content = path.read_text()
        content = content.replace("AMY-lh", "AMY-<b onclick=x>")
        path.write_text(content.replace("LH_Vis_1", "=LH_Vis_1"))
    out = study.parent / "out"
    results = run_plan(plan_study(load_study(study)), out)
    assert results is not None
    save_report(results, out)  # PDF and PNG too: their drawing must stand such text
    return out


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def test_hostile_text_makes_no_element_and_no_attribute(hostile, ran):
    """Law: pages of hostile names have the elements and attributes of any other page."""
    html5lib = pytest.importorskip("html5lib")
    people = [f"people/{one.name}" for one in (hostile / "people").iterdir()]
    usual_people = next((ran[2] / "people").iterdir()).name
    usual_report = elements((ran[2] / "report.html").read_text())
    for name in ("report.html", "scans.html", *people[:2]):
        page = (hostile / name).read_text()
        other = f"people/{usual_people}" if name.startswith("people") else name
        usual_text = (ran[2] / other).read_text()
        found, usual = elements(page), elements(usual_text)
        assert found.tags - usual.tags - usual_report.tags <= {"br"}
        assert found.attributes - usual.attributes - usual_report.attributes == set(), name
        scripts = 2 if name == "report.html" else 1  # Vega, and the page's own
        assert page.count("<script") == usual_text.count("<script") == scripts
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert not {"\u202e", "\u2066"} & set(page)
        assert "a\ufffdb\ufffdc" in page
        document = html5lib.parse(page, namespaceHTMLElements=False)
        assert len(list(document.iter("script"))) == scripts
        assert not [
            (one.tag, key)
            for one in document.iter()
            if isinstance(one.tag, str)
            for key in one.attrib
            if str(key).lower().startswith("on")
        ]
    assert "$\\frac{1}{0}$" in (hostile / "report.html").read_text()


def test_hostile_drawings_stay_drawings(hostile):
    """Saved SVG parse as XML and hold no script, no link and no handler."""
    from xml.etree import ElementTree

    drawings = list((hostile / "group" / "figures").glob("*.svg"))
    assert len(drawings) > 8
    for path in drawings:
        for one in ElementTree.parse(path).iter():
            assert one.tag.rpartition("}")[2] not in ("script", "a", "foreignObject", "b")
            assert not [name for name in one.attrib if name.startswith("on")]


def test_downloads_hold_no_formulas():
    """OWASP, CSV injection: text that begins like a formula gets an apostrophe, numbers stay."""
    table = pd.DataFrame(
        {"=a": ["=1+1", "@x", "-2.5", "-cmd", "+3", "plain"], "n": [-1.5, 2, 3, 4, 5, 6]}
    )
    lines = tsv_text(table).splitlines()
    assert lines[0] == "'=a\tn"
    assert [line.split("\t")[0] for line in lines[1:]] == [
        "'=1+1",
        "'@x",
        "-2.5",
        "'-cmd",
        "+3",
        "plain",
    ]
    assert lines[1].split("\t")[1] == "-1.5"


def test_numbers_of_downloads_are_written_as_pandas_writes_them():
    """Six digits whatever their size, n/a where there is none; columns may have any name."""
    values = [1.5, -0.0, np.nan, np.inf, -np.inf, 1e300, 5e-324, 123456.5, 1234567.0, 0.1 + 0.2]
    table = pd.DataFrame({0: values, "narrow": np.linspace(-1, 1, 10, dtype=np.float32)})
    table.index = pd.Index(np.linspace(0, 1, 10), name="at")
    for index in (False, True):
        plain = table.to_csv(sep="\t", index=index, na_rep="n/a", float_format="%.6g")
        assert tsv_text(table, index=index) == plain


def test_hidden_signs_are_shown(ran):
    _, results, _ = ran
    shown = without_hidden(results)
    assert people_named(shown) == people_named(results)
    assert "\x00" not in render_report(
        type(results)(
            study={"study": {"name": "a\x00b"}}, plan=results.plan, analyses=(), tables={}
        )
    )
