"""App files: shipped ones load; wrong ones are reported whole, with line and nearest match; nothing else is raised."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from homeostat.config.faults import AppFileError, Fault
from homeostat.config.load import load_app, parse_app, shipped_apps
from homeostat.config.nodes import BYTES_MAX, compose
from homeostat.config.starter import starter
from homeostat.config.tree import App

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

ROOT = Path(__file__).parents[2]
SHIPPED = {name: (ROOT / "src/homeostat/apps" / name / "app.yaml").read_text() for name in shipped_apps()}
TEXTS = {**SHIPPED, "starter": starter()}


def faults_of(text: str, folder: Path | None = None) -> tuple[Fault, ...]:
    with pytest.raises(AppFileError) as caught:
        parse_app(text, "app.yaml", folder)
    check(caught.value, text)
    return caught.value.faults


def check(error: AppFileError, text: str) -> None:
    """Check the form that every error must have, in all cases."""
    assert error.faults
    lines = text.count("\n") + 1
    for fault in error.faults:
        assert 1 <= fault.line <= lines
        assert fault.column >= 1
        assert fault.message
        assert str(fault) in str(error)
    json.dumps(error.as_json())


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_apps_load_by_name_and_by_path(name: str) -> None:
    by_name = load_app(name)
    assert by_name == load_app(ROOT / "src/homeostat/apps" / name) == parse_app(SHIPPED[name])
    assert by_name.app == name


def test_the_starter_loads_and_is_the_generic_app_with_more_comments() -> None:
    app = parse_app(starter())
    assert app.actions == parse_app(SHIPPED["access"]).actions
    assert starter().count("#") > 20


PAYMENTS = (Path(__file__).parent / "sample.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "path", "words", "nearest"),
    [
        ("  entities:", "  entites:", "events.entites", "unknown key", "entities"),
        ("  lateness: 1h", "  lateness: 1hour", "events.lateness", "not a duration", "1h"),
        ("  lateness: 1h", "  lateness: 5", "events.lateness", "not a duration", "5s"),
        ("  late: decide", "  late: decid", "events.late", "not one of", "decide"),
        ("lengths: [1d, 7d, 30d]", "lengths: [1 day, 7d, 30d]", "features.windows[0].lengths[0]", "not a length", "1d"),
        ("- entity: customer", "- entity: custmer", "features.windows[0].entity", "no entity", "customer"),
        ("mean(amount)", "mean(amuont)", "features.windows[0].compute.customer_mean_amount_{length}", "", "amount"),
        ("mean(amount)", "meen(amount)", "features.windows[0].compute.customer_mean_amount_{length}", "", "mean"),
        ("hour(time) <= 6", "huor(time) <= 6", "features.derived.night", "no function", "hour"),
        ("when: amount > 220", "when: amont > 220", "scorers.rules.rules[0].when", "there is no amont", "amount"),
        ("kind: isolation_forest", "kind: isolated_forest", "scorers.forest.kind", "scorer kind", "isolation_forest"),
        ("kind: learned", "kind: lerned", "fusion.kind", "not one of", "learned"),
        ("fusion: {kind: learned}", "fusion: {weights: {forrest: 1}}", "fusion.weights.forrest", "no scorer", "forest"),
        ("  block: {positive", "  blok: {positive", "costs.blok", "no action", "block"),
        ("  kind: thresholds", "  kind: threshold", "policy.kind", "not one of", "thresholds"),
        ("  holdout: 0.01", "  context: [nihgt]", "policy.context[0]", "no feature", "night"),
        ("{of: customer}", "{of: custmer}", "guards.lists.blocked_customers.of", "entity or category", "customer"),
        ("in blocked_customers", "in blocked_custmer", "guards.rules[0].when", "no list", "blocked_customers"),
        ("action: block, priority: 100", "action: blok, priority: 100", "guards.rules[0].action", "no action", "block"),
        ("instead: challenge", "instead: chalenge", "guards.breakers[0].instead", "no action", "challenge"),
        ("scorers_absent: challenge", "scorers_absent: challange", "guards.fallback.scorers_absent", "", "challenge"),
        ("censoring: [block]", "censoring: [blocked]", "outcomes.censoring[0]", "no action", "block"),
        ("TX_AMOUNT]", "CUSTOMER_ID]", "events.fields.amount.aliases[0]", "already stands for customer", None),
        ("delay: 7d  #", "delay: 6d  #", "features.windows[1].compute.terminal_risk_{length}", "a delay of", None),
        ("name: absurd_amount", "name: trusted_customer", "guards.rules[2].name", "two rules", None),
        ("priority: 80}", "priority: 80, since: tomorrow}", "guards.rules[2].since", "ISO 8601", None),
        ("priority: 80}", "since: 2026-02-01, until: 2026-01-01}", "guards.rules[2].until", "later", None),
        ("    amount: {type", "    Amount: {type", "events.fields.Amount", "not a name", "amount"),
        ("    customer: {aliases", "    risk: {aliases", "events.entities.risk", "reserved", None),
        ("seed: 20180401", "seed: soon", "seed", "whole number", None),
        ("currency: EUR", "currency: 5", "currency", "should be text", '"5"'),
        ("currency: EUR", "currency: [EUR]", "currency", "not a list", None),
        ("currency: EUR", "currency: EUR\ncurrency: USD", "currency", "twice, first in line 6", None),
        ("currency: EUR", "currency: !!python/object:os.system EUR", "currency", "tags", None),
        ("share_max: 0.2", "share_max: 20", "guards.breakers[0].share_max", "a share from 0 to 1, not 20", "0.2"),
        ("actions: [allow, challenge, block]", "actions: allow", "actions", "should be a list", "[allow]"),
        ("  challenge: {positive: 0.25 * amount + 0.5, negative: \"0.5\"}\n", "", "costs", "missing: challenge", None),
        ("customer in trusted_customers and amount < 500", "amount + 1", "guards.rules[1].when", "condition", None),
        ("0.1 * amount + 5", "0.1 * night + 5", "costs.block.negative", "there is no night", None),
        ("min: 0, max: 10_000_000", "min: 5, max: 1", "events.fields.amount.max", "less than min", None),
        ("events:\n", "events: &all\n", None, "", None),
    ],
)  # fmt: skip
def test_a_mistake_is_found_in_its_line_with_what_was_meant(
    old: str, new: str, path: str | None, words: str, nearest: str | None
) -> None:
    assert PAYMENTS.count(old) >= 1
    at = PAYMENTS.index(old)
    text = PAYMENTS[:at] + new + PAYMENTS[at + len(old) :]
    if path is None:
        assert parse_app(text).app == "payments"
        return
    faults = faults_of(text)
    found = [fault for fault in faults if fault.path == path]
    assert found, [str(fault) for fault in faults]
    assert words in found[0].message
    assert found[0].nearest == nearest
    line = text.count("\n", 0, at) + 1
    assert line <= found[0].line <= line + 3 or "missing" in words


@pytest.mark.parametrize("name", ["watermark", "freshness", "log"])
def test_a_window_feature_may_not_be_called_as_what_is_shown_beside_it(name: str) -> None:
    group = f"    - {{entity: customer, lengths: [1d], compute: {{{name}: count}}}}\n"
    (fault,) = faults_of(PAYMENTS.replace("  derived:\n", group + "  derived:\n"))
    assert fault.path == f"features.windows[2].compute.{name}" and "beside an entity's shown features" in fault.message
    assert name in parse_app(PAYMENTS.replace("    night: hour", f"    {name}: hour")).features.derived  # Never shown.


def test_a_place_is_exact_to_the_column() -> None:
    text = PAYMENTS.replace("when: amount > 220", "when: amount > 220 and amont < 3")
    (fault,) = faults_of(text)
    line = text.splitlines()[fault.line - 1]
    assert line[fault.column - 1 :].startswith("amont < 3")


def test_faults_of_shape_and_of_meaning_are_reported_together() -> None:
    text = PAYMENTS.replace("seed: 20180401", "seed: x").replace("late: decide", "late: perhaps")
    text = text.replace("instead: challenge", "instead: chalenge").replace("kind: network", "kind: netwrk")
    assert [fault.path for fault in faults_of(text)] == [
        "seed",
        "events.late",
        "scorers.network.kind",
        "guards.breakers[0].instead",
    ]


def test_what_hangs_on_a_faulty_part_is_not_reported_as_well() -> None:
    (fault,) = faults_of(PAYMENTS.replace("  fields:", "  feilds:"))
    assert (fault.path, fault.nearest) == ("events.feilds", "fields")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("- a\n- b\n", "not a mapping"),
        ("payments", "not a mapping"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("a: [1, 2\nb: 3\n", "not valid YAML"),
        ("a: b: c\n", "needs quotes"),
        ("a:\n\t- b\n", "indent with spaces"),
        ("a: *b\n", "undefined|refers to nothing"),
        ("a: &a [*a]\n", "contain itself"),
        ("a: \x01\n", "does not allow"),
        ("[" * 5000, "nested deeper"),
        ("{a: " * 5000, "nested deeper"),
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{chr(98 + k)}: &{chr(98 + k)} [{','.join(['*' + chr(97 + k)] * 10)}]\n" for k in range(9)), "values"),
        ("x" * (BYTES_MAX + 1), "larger than"),
        ("<<: {a: 1}\n", "merge keys"),
        ("? [a]\n: b\n", "a key must be text"),
    ],
)  # fmt: skip
def test_what_is_no_app_file_at_all_gets_a_clear_fault(text: str, words: str) -> None:
    assert any(re.search(words, fault.message) for fault in faults_of(text)), [str(f) for f in faults_of(text)]


def test_a_file_that_is_missing_or_no_text_gets_a_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"app: payments\ndescription: caf\xe9\n")
    with pytest.raises(AppFileError, match=r"latin.yaml:2:17: .*UTF-8"):
        load_app(tmp_path / "latin.yaml")
    with pytest.raises(AppFileError, match="No such file"):
        load_app(tmp_path / "none.yaml")
    with pytest.raises(AppFileError, match="Did you mean payments"):
        load_app("paymnets")
    with pytest.raises(AppFileError):
        load_app("a\0b")


def test_list_files_are_read_beside_the_app_file(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(
        PAYMENTS.replace("{of: customer}", "{of: customer, entries: [5], file: denied.csv}", 1)
    )
    (tmp_path / "denied.csv").write_text("key,since,until\n7\n007,2026-01-01\n\n8,,2026-02-01\n")
    entries = load_app(tmp_path).guards.lists["blocked_customers"].entries
    assert [e if isinstance(e, str | int) else (e.key, e.since, e.until) for e in entries] == [
        5, "7", ("007", "2026-01-01", None), ("8", None, "2026-02-01"),
    ]  # fmt: skip
    (tmp_path / "denied.csv").write_text("7\n8,soon\n,2026-01-01\n9,2026-02-01,2026-01-01\n1,,,,\n")
    with pytest.raises(AppFileError) as caught:
        load_app(tmp_path)
    assert [(Path(f.source).name, f.line) for f in caught.value.faults] == [("denied.csv", k) for k in (2, 3, 4, 5)]
    for name in ("../x.csv", "/etc/passwd", "none.csv", ""):
        text = PAYMENTS.replace("{of: customer}", f"{{of: customer, file: '{name}'}}", 1)
        assert faults_of(text, tmp_path)[0].path == "guards.lists.blocked_customers.file"


def test_guards_can_be_taken_from_another_file(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "guards:\n  rules:\n    - {name: a, when: amount > 5, action: block}\n  fallback: {scorers_absent: allow}\n"
    )
    app = load_app("payments", guards_from=rules)
    assert [rule.name for rule in app.guards.rules] == ["a"]
    assert app.features == load_app("payments").features
    rules.write_text(
        "guards:\n  rules:\n    - {name: a, when: amonut > 5, action: block}\n  fallback: {scorers_absent: allow}\n"
    )
    with pytest.raises(AppFileError, match=r"rules.yaml:3:23: guards.rules\[0\].when: .*Did you mean amount"):
        load_app("payments", guards_from=rules)


def test_a_plain_number_may_stand_for_an_expression_and_leading_zeros_stay() -> None:
    app = parse_app(
        PAYMENTS.replace('negative: "0"', "negative: 0").replace(
            "{of: customer}", "{of: customer, entries: [007, 7]}", 1
        )
    )
    assert app.costs["allow"].negative == "0"
    assert app.guards.lists["blocked_customers"].entries == ("007", 7)


# Random damage.

GARBAGE = st.one_of(
    st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.sampled_from(["block", "amount > 5", "7d", "customer", "9" * 400 + "d", "x in", "mean(", "2026-01-01"]),
)  # fmt: skip


def paths_of(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, child in items for deeper in paths_of(child, (*path, key)))]


@st.composite
def damaged_trees(draw: st.DrawFn) -> str:
    tree = compose(draw(st.sampled_from(sorted(TEXTS.values()))), "app.yaml")[0].plain()
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from([path for path in paths_of(tree) if path] or [("app",)]))
        parent = tree
        for step in above:
            parent = parent[step]
        match draw(st.integers(0, 2)):
            case 0:
                parent[last] = draw(GARBAGE)
            case 1 if isinstance(parent, dict):
                parent[draw(st.text(max_size=10) | st.sampled_from(["of", "since", "amount", "time"]))] = parent.pop(
                    last, None
                )
            case _:
                del parent[last]
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)


def loads_or_reports(text: str) -> None:
    try:
        assert isinstance(parse_app(text), App)
    except AppFileError as error:
        check(error, text)


@given(damaged_trees())
@settings(max_examples=120, deadline=None)
def test_a_damaged_tree_loads_or_is_reported(text: str) -> None:
    loads_or_reports(text)


@given(st.sampled_from(sorted(TEXTS)), st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_text_loads_or_is_reported(name: str, data: st.DataObject) -> None:
    text = TEXTS[name]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 40)))
        text = (
            text[:start]
            + data.draw(st.text(max_size=12) | st.sampled_from(["\t", ": ", "[", "}", "&a ", "*a", "\n---\n", '"']))
            + text[stop:]
        )
    loads_or_reports(text)


@given(st.binary(max_size=200), st.integers(0, 3000))
@settings(max_examples=80, deadline=None)
@example(b"\xff\xfe", 0)
def test_damaged_bytes_load_or_are_reported(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    path = tmp_path_factory.mktemp("app") / "app.yaml"
    data = PAYMENTS.encode()
    path.write_bytes(data[:at] + noise + data[at + len(noise) :])
    try:
        load_app(path)
    except AppFileError as error:
        check(error, path.read_bytes().decode("utf-8", "replace"))


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_loads_or_is_reported(text: str) -> None:
    loads_or_reports(text)


# Keys on lists, and hints.


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("12345e6", "12345e6"), ("1_000", "1_000"), ("1e3", "1e3"), ("007", "007"), ("7", 7), ("-7", -7), ("+7", "+7"),
        ("5.0", "5.0"), (".5", ".5"), ("1.", "1."), ("true", "true"), ("False", "False"), ("no", "no"),
        ("0x10", "0x10"),
        ("'12345e6'", "12345e6"), ('"7"', "7"), ("2026-01-30", "2026-01-30"), ("1e400", "1e400"), ("-0", "-0"),
        ("9" * 30, int("9" * 30)), ("1__0", "1__0"), ("é", "é"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["{}", "{{key: {}, since: 2026-01-01}}"])
def test_a_key_on_a_list_counts_as_it_is_written(written: str, key: str | int, form: str) -> None:
    text = PAYMENTS.replace("{of: customer}", f"{{of: customer, entries: [{form.format(written)}]}}", 1)
    (entry,) = parse_app(text).guards.lists["blocked_customers"].entries
    found = entry if isinstance(entry, str | int) else entry.key
    assert found == key and type(found) is type(key)


@pytest.mark.parametrize("written", ["null", "~", "[1]", "{a: 1}"])
def test_what_is_no_key_is_a_fault(written: str) -> None:
    text = PAYMENTS.replace("{of: customer}", f"{{of: customer, entries: [{written}, 5]}}", 1)
    assert all("entries" in fault.path for fault in faults_of(text))


@given(st.from_regex(r"[0-9+.eE_x-]{1,8}", fullmatch=True))
@settings(max_examples=200, deadline=None)
def test_any_text_of_digits_and_signs_denies_itself_alone(written: str) -> None:
    from homeostat.checks.batches import CODING

    text = PAYMENTS.replace("{of: customer}", f"{{of: customer, entries: [{written}]}}", 1)
    try:
        (entry,) = parse_app(text).guards.lists["blocked_customers"].entries
    except AppFileError:
        return
    assert isinstance(entry, str | int) and CODING.identify(entry) == CODING.identify(written)


@pytest.mark.parametrize(
    ("old", "new", "nearest"),
    [
        ("type: number, min: 0", "type: category, values: [12345e6], min: 0", '"12345e6"'),
        ("type: number, min: 0", "type: category, values: [007, 1_0], min: 0", '"1_0"'),
        ("lengths: [1d, 7d, 30d]", "lengths: [600]", "600s"),
        ("lengths: [1d, 7d, 30d]", "lengths: [1.5]", "1.5s"),
        ("currency: EUR", "currency: 12345e6", '"12345e6"'),
        ("- entity: customer", "- entity: 5", None),
        ("priority: 80}", "priority: 80, since: 2026}", None),
        ("actions: [allow, challenge, block]", "actions: 12345e6", "[12345e6]"),
    ],
)
def test_a_hint_has_the_meaning_that_was_written(old: str, new: str, nearest: str | None) -> None:
    faults = faults_of(PAYMENTS.replace(old, new, 1))
    assert [f.nearest for f in faults if "not the number" in f.message][:1] == [nearest]


@pytest.mark.parametrize(
    ("derived", "expected"),
    [
        ("a: b + 1\n    b: a + 1", [("a", "a and b rest on each other")]),
        ("a: b + 1\n    b: c > 1\n    c: a", [("a", "a and b and c rest on each other")]),
        ("a: a > 1", [("a", "a rests on itself")]),
        ("a: b > 1\n    b: amount", [("a", "b is declared further down")]),
        ("a: amuont\n    b: a > 1\n    c: b and a == 'x'", [("a", "there is no amuont here")]),
    ],
)
def test_a_derived_feature_out_of_order_is_one_fault_wherever_it_is_used(
    derived: str, expected: list[tuple[str, str]]
) -> None:
    text = PAYMENTS.replace("  derived:\n", f"  derived:\n    {derived}\n")
    text = text.replace("when: amount > 220, score", "when: a and amount > 220, score")
    text = text.replace("customer in trusted_customers and amount < 500", "a or amount > 5", 1)
    text = text.replace("  holdout: 0.01", "  context: [a]")
    found = faults_of(text)
    assert [(fault.path.rsplit(".", 1)[1], fault.message.split(":")[0]) for fault in found] == expected


@pytest.mark.parametrize(
    ("when", "places"),
    [
        ("amuont > 3 and risc > 1", [(0, "there is no amuont here"), (15, "there is no risc here")]),
        ("amuont > foo", [(0, "there is no amuont here"), (9, "there is no foo here")]),
        ("amount / 0 > 1 or log(0) > bar", [(9, "divides by 0"), (18, "log of this number"), (27, "there is no bar")]),
        ("max(amuont, foo) > 1 and customer < 3", [(4, "amuont"), (12, "foo"), (25, "entities have no order")]),
        ("amuont > 3 and amuont < 5", [(0, "there is no amuont"), (15, "there is no amuont")]),
        ("customer == 1_000", [(12, "put it into quotes, '1_000'")]),
        ("customer in (0x10, 5)", [(13, "put it into quotes, '0x10'")]),
        ("customer in (5, -7, '1_000')", []),
    ],
)
def test_every_fault_of_an_expression_is_shown_with_its_place(when: str, places: list[tuple[int, str]]) -> None:
    old = "when: customer in trusted_customers and amount < 500"
    text = PAYMENTS.replace(old, f'when: "{when}"', 1)
    assert old in PAYMENTS
    if not places:
        assert parse_app(text).app == "payments"
        return
    found = faults_of(text)
    assert len(found) == len(places)
    for fault, (offset, words) in zip(found, places, strict=True):
        line = text.splitlines()[fault.line - 1]
        assert words in fault.message and line[fault.column - 1 :].startswith(when[offset:])


@pytest.mark.parametrize(
    ("when", "words", "nearest"),
    [
        ("amount > 3 && risk > 1", "`and` joins", "and"), ("amount > 3 || risk > 1", "`or` joins", "or"),
        ("!(amount > 3)", "`not` denies", "not"), ("amount = 3", "`==` compares", "=="),
        ("amount === 3", "`==` compares", "=="), ("amount <> 3", "`!=` compares", "!="),
        ("amount => 3", "written `>=`", ">="), ("amount =< 3", "written `<=`", "<="),
        ("amount > 3 AND risk > 1", "small letters", "and"), ("amount > 3 ? 1 : 0", "`a if condition else b`", None),
        ("customer.startswith('a')", "no methods such as .startswith()", None),
        ("score.forest > 1", "no parts here", "score_forest"), ("amount[0] > 1", "nothing has items", None),
        ("amount == null", "missing(x)", None), ("amount == None", "missing(x)", None),
        ("amount between 1 and 5", "1 <= x <= 5", None), ("amount > 5%", "0.05", None),
        ("if amount > 3", "leave", None),
        ("amount > $5", "not part of the language", None), ("amount > 1,5", "a point, not a comma", None),
    ],
)  # fmt: skip
def test_what_other_languages_write_is_understood_and_answered(when: str, words: str, nearest: str | None) -> None:
    old = "when: customer in trusted_customers and amount < 500"
    (fault,) = faults_of(PAYMENTS.replace(old, f'when: "{when}"', 1))
    assert words in fault.message and fault.nearest == nearest


@pytest.mark.parametrize(
    "when", ["hour(time) > 3", "customer == 5", "missing(terminal)", "customer in blocked_customers"]
)
def test_a_rule_of_a_scorer_that_could_not_be_built_is_a_fault(when: str) -> None:
    (fault,) = faults_of(PAYMENTS.replace("when: amount > 220, score", f'when: "{when}", score'))
    assert "features alone" in fault.message and fault.path == "scorers.rules.rules[0].when"
    assert "no feature" in faults_of(PAYMENTS.replace("when: amount > 220, score", 'when: "1 > 0", score'))[0].message


def test_a_window_longer_than_36_years_is_a_fault() -> None:
    (fault,) = faults_of(PAYMENTS.replace("lengths: [1d, 7d, 30d]", "lengths: [1d, 40000d]", 1))
    assert fault.path == "features.windows[0].lengths[1]" and "at most 36 years" in fault.message


@pytest.mark.parametrize(
    ("text", "line"), [("app: \ud800\n", 1), ("homeostat: 1\n# \udfff\n", 2), ("a: 1\nb: 2\nc: \ud83d", 3)]
)
def test_half_a_surrogate_is_a_fault_with_its_place(text: str, line: int) -> None:
    (fault,) = faults_of(text)
    assert "surrogate" in fault.message and fault.line == line


@pytest.mark.parametrize("number", ["1e30", "99999999999999999999", "0", "-5"])
def test_a_breaker_that_counts_beyond_reason_is_a_fault(number: str) -> None:
    faults = faults_of(PAYMENTS.replace("events_min: 500", f"events_min: {number}", 1))
    assert faults[0].path == "guards.breakers[0].events_min"


@pytest.mark.parametrize("when", ["amount > 100 && night", "amount = 100", "amount >", "'a' +"])
def test_a_rule_of_a_scorer_that_can_not_be_read_is_one_fault_and_not_said_to_ask_about_nothing(when: str) -> None:
    text = SHIPPED["payments"].replace("when: amount > 220, score", f'when: "{when}", score')
    (fault,) = faults_of(text)
    assert "asks about no feature" not in fault.message


@pytest.mark.parametrize("text", ["", "- {name: a, when: amount > 1, action: block}"])
def test_a_file_of_guards_that_is_none_is_answered_as_one(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(AppFileError, match="`guards:`") as caught:
        load_app("payments", guards_from=path)
    assert "homeostat" not in caught.value.faults[0].message
