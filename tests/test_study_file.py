"""The study file: what is accepted, and the one message that each mistake gets."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectrial import study as sections
from connectrial import study_trial as trial_sections
from connectrial.errors import StudyFileError
from connectrial.fc.censoring import censor_frames
from connectrial.fc.coverage import find_weak_parcels
from connectrial.fc.denoising import denoise
from connectrial.fc.estimators import estimate_connectivity
from connectrial.fc.motion import measure_fd
from connectrial.fc.subcortex import clean_subcortex
from connectrial.io.grayordinate_atlas import read_grayordinate_atlas
from connectrial.io.images import extract_with_quality
from connectrial.io.known_atlases import load_atlas
from connectrial.plan.hashes import plan_hash
from connectrial.stats.terms import fit_terms
from connectrial.study import Study, json_schema
from connectrial.study_file import load_study, parse_study
from connectrial.study_model_checks import expanded_terms
from connectrial.trial.courses import sustained, time_to_event
from connectrial.trial.endpoints import remission, response
from connectrial.trial.exposure import exposure_measure
from connectrial.trial.measured import settle_below
from tiny import STUDY


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str, name: str = "study.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def problems_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(StudyFileError) as caught:
        load_study(path)
    return caught.value.problems


def test_a_whole_study_is_read(write):
    study = load_study(write(STUDY))
    assert study.visits == ("before", "after")
    assert study.arms is not None
    assert study.arms.levels == ("placebo", "drug")
    assert study.coverage.action == "flag"


WRONG = {
    "a variable with the name of our own column": (
        ("[sets.amygdala]", "[variables.severity]\n\n[sets.amygdala]"),
        ["[variables.severity]: the name 'severity' is taken", "[variables.my_severity]"],
    ),
    "misspelt key": (
        ('column = "arm"', 'colunm = "arm"'),
        ["[arms]: there is no key 'colunm' here; did you mean 'column'?"],
    ),
    "misspelt section": (
        ("[arms]", "[amrs]"),
        ["there is no key 'amrs' here; did you mean 'arms'?"],
    ),
    "wrong choice": (
        ('df = "satterthwaite"', 'df = "satterthwait"'),
        ["[model.change] df:", "got 'satterthwait'; did you mean 'satterthwaite'?"],
    ),
    "number out of range": (
        ("[scales.MADRS]", "[censoring]\nmax_fd_mm = -0.2\n[scales.MADRS]"),
        ["[censoring] max_fd_mm: input should be greater than 0; got -0.2"],
    ),
    "unknown model": (
        (
            'name = "Visual"\nwithin = "Vis"\nmodel = "change"',
            'name = "Visual"\nwithin = "Vis"\nmodel = "chnage"',
        ),
        ["[[hypothesis]] 'Visual': model 'chnage' is not declared; did you mean 'change'?"],
    ),
    "unknown visit": (
        ('baseline = "before"', 'baseline = "befor"'),
        ["[endpoints.response]: visit 'befor' is not declared; did you mean 'before'?"],
    ),
    "a test that is no term": (
        ('tests = ["visit:arm"]\nrole', 'tests = ["visit:age"]\nrole'),
        [
            "[[hypothesis]] 'Visual' tests: model 'change' has no term 'visit:age'; it has: visit, arm, visit:arm"
        ],
    ),
    "family size": (
        ("size = 2", "size = 3"),
        ["[family.primary] size: is 3, but 2 tests are declared"],
    ),
    "variable that nothing declares": (
        ('fixed = ["visit * arm"]', 'fixed = ["visit * arm", "sex"]'),
        ["[model.change] fixed: 'sex' uses 'sex', which no part of the study declares"],
    ),
    "both within and between": (
        ('within = "Vis"', 'within = "Vis"\nbetween = ["Vis", "Default"]'),
        [
            "[[hypothesis]] 'Visual': needs exactly one of within, between, connections, difference, gbc, participation"
        ],
    ),
    "a session of two visits": (
        ('sessions = ["b"]', 'sessions = ["b", "a"]'),
        ["[[visit]] 'after': session 'a' already belongs to visit 'before'"],
    ),
    "visits out of order": (("day = 30", "day = -3"), ["day -3 comes before day 0 of 'before'"]),
    "missing section": (
        ("[design]\nkind", "[desing]\nkind"),
        ["did you mean 'design'?", "'design' is missing"],
    ),
    "missing name": (('name = "Tiny trial"\n', ""), ["[study]: the key 'name' is missing"]),
    "wrong type": (
        ('levels = ["placebo", "drug"]', 'levels = "placebo"'),
        ['[arms] levels: must be a list, such as ["a", "b"]; got \'placebo\''],
    ),
    "one level": (
        ('levels = ["placebo", "drug"]', 'levels = ["placebo"]'),
        ["[arms] levels: needs at least 2 entries; got ['placebo']"],
    ),
    "coded level that is not there": (
        (
            'df = "satterthwaite"',
            'df = "satterthwaite"\ncoding = { visit = { befor = 0, after = 1 } }',
        ),
        ["[model.change] coding.visit: there is no level 'befor'; did you mean 'before'?"],
    ),
    "no TOML": (('column = "arm"', "column = arm"), ["is not valid TOML", "line"]),
    "two analyses of one name": (
        ('name = "Visual"', 'name = "Default"'),
        ["the analysis 'Default' is declared twice"],
    ),
    "a covariance that is none": (
        ('random = ["1 | subject"]', 'covariance = "uns(visit | subject)"'),
        [
            "[model.change] covariance: 'uns(visit | subject)' is not understood; write us(visit | subject)"
        ],
    ),
    "random terms and a covariance": (
        (
            'random = ["1 | subject"]',
            'random = ["1 | subject"]\ncovariance = "us(visit | subject)"',
        ),
        ["[model.change]: random and covariance both say"],
    ),
    "a slope of nothing": (
        ('random = ["1 | subject"]', 'random = ["dose | subject"]'),
        [
            "[model.change] random: 'dose | subject' uses 'dose', which no part of the study declares"
        ],
    ),
    "a threshold where none belongs": (
        ('test = "visit:arm"', 'test = "visit:arm"\nthreshold = 3.0'),
        ["[[exploration]] 'Every edge': threshold belongs to nbs-extent and nbs-intensity"],
    ),
    "a set without members": (
        ('parcels = ["AMY-*"]', "parcels = []"),
        ["[sets.amygdala]: needs 'parcels', 'networks' or 'spheres'"],
    ),
    "a sphere without a radius": (
        ('parcels = ["AMY-*"]', "spheres = [{ x_mm = 0, y_mm = 21, z_mm = -10 }]"),
        ["[sets.amygdala]", "'radius_mm' is missing"],
    ),
    "images without an atlas": (
        ('kind = "time series"', 'kind = "images"'),
        ["[atlas]: images need an atlas; name one that is built in (name = 'Seitzman300'"],
    ),
    "a rule for overlaps that is none": (
        ("[sets.amygdala]", '[atlas]\noverlap = "both"\n[sets.amygdala]'),
        ["[atlas] overlap:", "'allow'"],
    ),
    "permutations where nothing is permuted": (
        ('test = "visit:arm"', 'test = "visit:arm"\nn_permutations = 100'),
        [
            "[[exploration]] 'Every edge': n_permutations belongs to max, tfnbs, nbs-extent, "
            "nbs-intensity and networks; method is 'fdr_bh', which permutes nothing"
        ],
    ),
    "a baseline that a remission does not look at": (
        ("min_percent_decrease = 50", "below = 10"),
        ["[endpoints.response]: baseline belongs to min_percent_decrease"],
    ),
    "a baseline that a score does not look at": (
        ('name = "MADRS"\nscale', 'name = "MADRS"\nbaseline = "before"\nscale'),
        [
            "[[clinical]] 'MADRS': baseline = 'before' changes nothing, because outcome is 'score' and "
            "model 'change' has no term 'baseline'"
        ],
    ),
    "a coding that no term uses": (
        (
            'df = "satterthwaite"',
            'df = "satterthwaite"\ncoding = { time = { before = 0, after = 1 } }',
        ),
        ["[model.change] coding.time: no term of this model uses 'time'"],
    ),
    "full likelihood where edges have none": (
        ('df = "satterthwaite"', 'df = "satterthwaite"\nreml = false'),
        ["[[exploration]] 'Every edge': edges are fitted by restricted maximum likelihood"],
    ),
    "Kenward-Roger without restricted likelihood": (
        ('df = "satterthwaite"', 'df = "kenward-roger"\nreml = false'),
        ["[model.change]: df = 'kenward-roger' needs restricted maximum likelihood"],
    ),
    "nothing that ties visits together": (
        ('random = ["1 | subject"]', "random = []"),
        ["[model.change]: random is empty"],
    ),
    "controls that nobody declared": (
        ('tests = ["visit:arm"]\nrole', 'tests = ["visit:arm"]\nwho = "controls"\nrole'),
        ["[[hypothesis]] 'Visual': who = 'controls', but the study does not say who these are"],
    ),
    "a scale without a score": (
        ("minimum = 0\nmaximum = 60", "minimum = 60\nmaximum = 0"),
        ["[scales.MADRS]: minimum = 60 is not below maximum = 0"],
    ),
    "an endpoint with two rules": (
        ("min_percent_decrease = 50", "min_percent_decrease = 50\nbelow = 10"),
        ["[endpoints.response]: needs exactly one of min_percent_decrease, below, at_most"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_gets_its_message(write, case):
    (right, wrong), fragments = WRONG[case]
    assert STUDY.count(right) >= 1
    found = "\n".join(problems_of(write(STUDY.replace(right, wrong, 1))))
    for fragment in fragments:
        assert fragment in found
    assert "study.toml: " in found
    assert "pydantic" not in found
    assert "Traceback" not in found


def test_all_problems_come_at_once(write):
    text = STUDY.replace("seed = 1", "seed = -1").replace(
        'role = "negative control"', 'roel = "negative control"'
    )
    text = text.replace("size = 2", "size = 9").replace('visit = "after"', 'visit = "afterwards"')
    found = problems_of(write(text))
    joined = "\n".join(found)
    for fragment in ("[study] seed", "'roel'", "[family.primary] size", "'afterwards'"):
        assert fragment in joined
    assert len(set(found)) == len(found)


def test_a_missing_file_and_a_folder(tmp_path):
    assert "connectrial init" in problems_of(tmp_path / "nothing.toml")[0]
    assert "folder without a study.toml" in problems_of(tmp_path)[0]


def test_extends_merges_tables_and_replaces_lists(write, tmp_path):
    write(STUDY, "base.toml")
    child = tmp_path / "inner"
    child.mkdir()
    path = child / "child.toml"
    path.write_text(
        'extends = "../base.toml"\nexploration = []\n[study]\nname = "Child"\n[model.change]\ndf = "residual"\n'
    )
    study = load_study(path)
    assert study.study.name == "Child"
    assert study.study.seed == 1
    assert study.exploration == ()
    assert study.model["change"].df == "residual"
    assert study.model["change"].fixed == ("visit * arm",)
    # A relative folder of the parent still means what it meant there.
    assert study.derivatives is not None
    assert study.derivatives.resolve() == (tmp_path / "data").resolve()


def test_extends_in_a_circle(write):
    write('extends = "b.toml"\n', "a.toml")
    write('extends = "a.toml"\n', "b.toml")
    assert "circle" in problems_of(write('extends = "a.toml"\n', "c.toml"))[0]


def test_environment_variables_expand_in_data_paths(write, monkeypatch):
    study = load_study(write(STUDY.replace('derivatives = "data"', 'derivatives = "${TINY}/x"')))
    monkeypatch.delenv("TINY", raising=False)
    with pytest.raises(StudyFileError, match="environment variable TINY is not set"):
        _ = study.derivatives
    monkeypatch.setenv("TINY", "/somewhere")
    assert study.derivatives == Path("/somewhere/x")


def test_a_star_is_its_terms():
    assert expanded_terms(["visit * arm", "age"]) == ("visit", "arm", "visit:arm", "age")
    assert expanded_terms(["a * b * c"]) == ("a", "b", "c", "a:b", "a:c", "b:c", "a:b:c")


# --- every key of the computing sections names a parameter of what computes it (design contract)


def parameters(function: Any) -> dict[str, Any]:
    return {
        name: one.default
        for name, one in inspect.signature(function).parameters.items()
        if one.kind is inspect.Parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize(
    ("section", "functions", "not_passed"),
    [
        (sections.CensoringSection, [censor_frames], {"min_kept_minutes", "min_kept_fraction"}),
        (sections.MotionSection, [measure_fd], set()),
        (sections.DenoisingSection, [denoise, clean_subcortex], set()),
        (sections.CoverageSection, [find_weak_parcels], {"action"}),
        # What is written beside the matrices, and done before them, has functions of its own.
        (
            sections.ConnectivitySection,
            [estimate_connectivity],
            {"parcel_mean", "network_strength", "standard_errors"},
        ),
        (
            sections.AtlasSection,
            [load_atlas, read_grayordinate_atlas, extract_with_quality],
            {"name"},
        ),
        (
            sections.EndpointSection,
            [response, remission, sustained],
            {"among", "called", "role", "family", "test", "analysis_sets", "estimand"},
        ),
        (
            trial_sections.TimeToEventSection,
            [time_to_event],
            {"name", "role", "family", "analysis_set", "estimand"},
        ),
        (sections.ModelSection, [fit_terms], {"variance_intervals"}),
        (sections.ExposureMeasureSection, [exposure_measure], {"name", "source", "column"}),
        (
            sections.MeasuredSection,
            [settle_below],
            {"path", "subject", "time_h", "session", "columns"},
        ),
    ],
)
def test_keys_name_parameters_with_the_same_defaults(section, functions, not_passed):
    known: dict[str, Any] = {}
    for function in functions:
        known |= parameters(function)
    for key, field in section.model_fields.items():
        if key in not_passed:
            continue
        assert key in known, f"{key} names no parameter"
        default = known[key]
        if default is inspect.Parameter.empty or field.is_required():
            continue
        ours = field.get_default(call_default_factory=True)
        assert (ours or None) == (default or None), key


# --- schema


def test_schema_accepts_the_shipped_studies_and_refuses_a_misspelling():
    import tomllib

    schema = json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    root = Path(__file__).parents[1]
    for path in [
        root / "examples/stages/study.toml",
        root / "src/connectrial/templates/demo-study.toml",
    ]:
        assert not list(validator.iter_errors(tomllib.loads(path.read_text())))
    wrong = tomllib.loads(STUDY)
    wrong["arms"]["colunm"] = wrong["arms"].pop("column")
    assert list(validator.iter_errors(wrong))


# --- the plan's hash changes when and only when the plan does


def hash_of(**changes: Any) -> str:
    import tomllib

    raw = tomllib.loads(STUDY)
    for dotted, value in changes.items():
        place = raw
        *steps, last = dotted.split("__")
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        place[last] = value
    return plan_hash(parse_study(raw, folder=Path()))


@pytest.mark.parametrize(
    "change",
    [
        {"model__change__df": "residual"},
        {"study__seed": 2},
        {"family__primary__method": "bonferroni"},
        {"coverage__min_coverage": 0.6},
        {"arms__levels": ["drug", "placebo"]},
        {"visit__1__sessions": ["c"]},
        {"hypothesis__2__role": "secondary"},
    ],
)
def test_the_hash_changes_with_the_plan(change):
    assert hash_of(**change) != hash_of()


@pytest.mark.parametrize(
    "change",
    [
        {"data__derivatives": "elsewhere"},
        {"study__name": "Another name"},
        {"study__description": "Some words"},
        {"coverage__min_coverage": 0.5},  # written out, but the default all the same
    ],
)
def test_the_hash_stays_with_the_plan(change):
    assert hash_of(**change) == hash_of()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.sampled_from(
        ["study", "data", "visit", "arms", "sets", "hypothesis", "model", "family", "scales"]
    ),
)
def test_any_content_is_read_or_refused_with_messages(content, key):
    import tomllib

    raw = tomllib.loads(STUDY)
    raw[key] = content
    try:
        study = parse_study(raw, folder=Path())
    except StudyFileError as error:
        assert error.problems
        assert all(isinstance(problem, str) and problem for problem in error.problems)
    else:
        assert isinstance(study, Study)
        json.dumps(study.as_plain())


def test_an_endpoint_calls_people_what_the_study_file_says():
    """A rule on CGI-I makes nobody a remitter; by itself a limit on a scale does."""
    rule = {"scale": "CGI-I", "visit": "week 2", "at_most": 2}
    words = ("improved", "not improved")
    said = sections.EndpointSection.model_validate(rule | {"called": words})
    assert said.levels == words
    assert (said.plural(met=True), said.plural(met=False)) == words
    plain = sections.EndpointSection.model_validate(rule)
    assert plain.plural(met=True) == "remitters"
    with pytest.raises(ValueError, match="two different words; got 'better' twice"):
        sections.EndpointSection.model_validate(rule | {"called": ("better", "better")})
