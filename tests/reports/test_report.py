import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from skct import CounterfactualExplanation, reports
from skct.metrics import burden
from skct.reports.formatting import show, show_change
from skct.reports.html import environment

VOID = {"meta", "wbr"}
PAGE, SCOPED = (
    Path(reports.__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("page.css", "report.css")
)


class Page(HTMLParser):
    """Parses strictly: every element is closed by its own end tag."""

    def __init__(self, html):
        super().__init__()
        self.open, self.builder = [], ET.TreeBuilder()
        self.builder.start("page", {})
        self.feed(html)
        self.close()
        assert not self.open
        self.builder.end("page")
        self.root = self.builder.close()

    def handle_starttag(self, name, attributes):
        self.builder.start(name, dict(attributes))
        if name in VOID:
            self.builder.end(name)
        else:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name
        self.builder.end(name)

    def handle_data(self, text):
        self.builder.data(text)


def parse(html):
    return Page(html).root


def text_of(element):
    return " ".join("".join(element.itertext()).split())


def words_of(element):
    return " ".join(" ".join(element.itertext()).split())


def texts(root, name):
    return [text_of(element) for element in root.iter(name)]


def rows_of(table):
    return [[text_of(cell) for cell in row] for row in table.find("tbody")]


def made(before, after, **fields):
    """An explanation of two frames, everything valid unless said otherwise."""
    n, p = before.shape
    moved = before.astype(object).ne(after.astype(object)).to_numpy()
    values = {
        "row": np.asarray(before.index),
        "target": np.full(n, "approved", dtype=object),
        "predicted": np.full(n, "denied", dtype=object),
        "valid": np.ones(n, dtype=bool),
        "mature": np.ones(n, dtype=bool),
        "cost": np.arange(1.0, n + 1),
        "implausibility": np.full(n, 3.0),
        "probability": np.full(n, 0.75),
        "n_changed": moved.sum(1),
        "n_iter": np.zeros(n, dtype=int),
        "reason": np.full(n, "", dtype=object),
        "mutability": np.full(p, "both", dtype=object),
    }
    return CounterfactualExplanation(before, after, **{**values, **fields})


@pytest.fixture
def explanation():
    """Four rows: two changes, one change, no valid counterfactual, none needed."""
    before = pd.DataFrame(
        {
            "age": [30, 40, 50, 60],
            "income": [20.5, 123456.78, 30.0, 99.0],
            "job": ["cook", None, "cook", "nurse"],
            "since": pd.to_datetime(["2020-01-31"] * 4),
        },
        index=[11, 12, 13, 14],
    )
    after = before.copy()
    after.loc[11, ["income", "job"]] = 41.25, "nurse"
    after.loc[12, "job"] = "clerk"
    after.loc[13, "income"] = 35.0
    return made(
        before,
        after,
        predicted=np.array(["denied", "denied", "denied", "approved"], dtype=object),
        valid=np.array([True, True, False, True]),
        reason=np.array(["", "", "stopped after 9 steps", ""], dtype=object),
        mutability=np.array(["none", "increase", "both", "decrease"], dtype=object),
    )


# --------------------------------------------------------------------- the document


def test_the_document_is_complete_and_needs_nothing_else(explanation):
    html = explanation.to_html(groups="job")
    root = parse(html)
    assert html.startswith("<!DOCTYPE html>")
    assert root.find("html").get("lang") == "en"
    assert root.find("html/head/title").text == "Counterfactual explanations: 4 answers"
    metas = {name: v for m in root.iter("meta") for name, v in m.attrib.items()}
    assert metas["charset"] == "utf-8"
    assert "default-src 'none'" in metas["content"]
    names = {element.tag for element in root.iter()}
    assert not names & {"script", "link", "img", "iframe", "object", "form", "a"}
    assert not re.search(r"url\(|@import|https?:", html)


def test_a_card_says_who_what_and_at_which_cost(explanation):
    card = next(parse(explanation.to_html()).iter("article"))
    changes, unchanged = card.iter("table")
    assert rows_of(changes) == [
        ["income may only rise", "20.5", "41.25"],
        ["job", "cook", "nurse"],
    ]
    assert rows_of(unchanged) == [
        ["age cannot change", "30"],
        ["since may only fall", "2020-01-31"],
    ]
    assert unchanged in list(card.find("details"))
    words = words_of(card)
    assert words.startswith("Case 11 valid answer predicted denied")
    assert "target approved" in words
    figures = dict(zip(texts(card, "dt"), texts(card, "dd"), strict=True))
    assert figures == {
        "Cost": "1.00",
        "Implausibility": "3.00",
        "Target probability": "75.0%",
        "Changes": "2",
    }


def test_cards_without_changes_say_why(explanation):
    _, second, failed, done = parse(explanation.to_html()).iter("article")
    assert rows_of(second.find("table")) == [["job", "missing", "clerk"]]
    assert "no valid answer" in text_of(failed)
    assert "Stopped after 9 steps." in text_of(failed)
    assert failed.find("table") is None
    assert ["income may only rise", "30"] in rows_of(next(failed.iter("table")))
    assert "nothing has to change" in text_of(done)
    low = replace(explanation, mature=np.zeros(4, dtype=bool))
    assert "below the confidence" in text_of(next(parse(low.to_html()).iter("article")))


def test_valid_rows_that_are_less_certain_than_asked_for_are_marked_and_counted(
    explanation,
):
    """The second row; the last one, which needs no change, has no confidence either."""
    reason = explanation.reason.copy()
    reason[1] = "reached target probability 0.62, asked for 0.7"
    mature = np.array([True, False, False, False])
    unsure = replace(explanation, mature=mature, reason=reason)
    first, second, failed, done = map(text_of, parse(unsure.to_html()).iter("article"))
    assert "valid answer, less certain than asked for" in second
    assert "Reached target probability 0.62, asked for 0.7." in second
    assert not any("less certain" in text for text in (first, failed, done))
    assert "Less certain than asked for 1 of the valid answers" in text_of(
        parse(unsure.to_html())
    )
    assert "ess certain" not in explanation.to_html()
    short = "4 rows, 3 valid, 1 of them below the confidence asked for"
    assert repr(unsure) == f"<CounterfactualExplanation: {short}>"
    assert "reached target probability 0.62, asked for 0.7" in str(unsure)
    many = unsure[np.arange(12) % 2]
    assert str(many).count("reached target probability 0.62") == 5 + 1
    labels = [label.get_text() for label in unsure.plot().ax_.get_yticklabels()]
    assert ["unsure" in label for label in labels] == [False, True, False, False]


def test_alternatives_without_reference_rows_and_mutability_are_shown(explanation):
    two = replace(
        explanation,
        row=np.array([11, 11, 12, 12]),
        alternative=np.array([0, 1, 0, 1]),
        implausibility=None,
        mutability=None,
    )
    root = parse(two.to_html())
    assert texts(root, "h3")[1] == "Case 11 / 1 alternative 1"
    assert texts(root, "dd")[0] == "2"
    assert "mplausibility" not in text_of(root)
    assert "cannot change" not in text_of(root)


def test_averages_are_those_of_the_summary(explanation):
    tiles = parse(explanation.to_html()).find(".//dl[@class='tiles']")
    shown = dict(zip(texts(tiles, "dt"), texts(tiles, "dd"), strict=True))
    assert shown["Valid answers"] == "3 of 4 (75%)"
    assert shown["Mean cost"] == f"{explanation.summary()['cost']:.2f}"
    assert shown["Mean changes"] == "1.00"


def test_features_are_listed_by_the_share_of_answers_that_change_them(explanation):
    panel = parse(explanation.to_html()).find(".//div[@class='panel']")
    assert rows_of(panel.find("table")) == [
        ["job", "67% (2 of 3)", "to nurse in 50%"],
        ["income may only rise", "33% (1 of 3)", "always up; median change +20.75"],
    ]
    widths = [r.get("width") for r in panel.iter("rect") if r.get("class") is None]
    assert widths == ["66.7", "33.3"]
    assert texts(panel, "p") == [
        "Cannot change: age.",
        "Changed by no answer: since.",
    ]


@pytest.mark.parametrize(
    ("old", "new", "way"),
    [
        ([1.0, 2.0, 3.0], [0.0, 1.5, 3.5], "down in 67%; median change -0.5"),
        ([1, 2], [2, 2.5], "always up; median change +0.75"),
        ([np.nan, 1.0], [4.0, 3.0], "always up; median change +2"),
        ([np.nan], [4.0], "from missing to a number"),
        ([True, False], [False, True], "to False in 50%"),
        (["a", "b", "b"], ["c", "c", "a"], "to c in 67%"),
    ],
)
def test_the_typical_change_is_a_way_or_a_category(old, new, way):
    dtype = object if isinstance(old[0], (bool, str)) else float
    before, after = (pd.DataFrame({"x": v}, dtype=dtype) for v in (old, new))
    table = parse(made(before, after).to_html()).find(".//div[@class='panel']/table")
    assert rows_of(table)[0][2] == way


def test_cards_stop_at_max_rows_but_averages_do_not(explanation):
    root = parse(explanation.to_html(max_rows=1))
    assert len(list(root.iter("article"))) == 1
    assert "The first 1 of 4 answers; 3 are left out." in texts(root, "p")
    assert "3 of 4 (75%)" in texts(root, "dd")
    assert len(list(parse(explanation.to_html(max_rows=None)).iter("article"))) == 4
    assert not list(parse(explanation.to_html(max_rows=0)).iter("article"))
    for wrong in (-1, 2.5, "all", True):
        with pytest.raises(ValueError, match="'max_rows' parameter of Counterfactual"):
            explanation.to_html(max_rows=wrong)


def test_without_rows_or_answers_there_is_still_a_report(explanation):
    assert "0 answers" in text_of(parse(explanation[:0].to_html()))
    failed = parse(explanation[[2]].to_html(groups="job"))
    assert "0 of 1 (0%)" in texts(failed, "dd")
    assert "What the answers change" not in text_of(failed)
    assert "cook" in text_of(failed)


def test_a_thousand_rows_and_a_thousand_columns_stay_small(explanation):
    many = explanation[np.arange(1000) % 4]
    assert len(many.to_html()) < 5e5
    wide = pd.DataFrame(np.zeros((30, 1000)))
    explanation = made(wide, wide + 1.0)
    root = parse(explanation.to_html())
    assert len(explanation.to_html()) < 5e5
    assert "and 950 further features" in texts(root, "p")
    assert "and 980 further features" in texts(root, "p")


# ------------------------------------------------------------------------ structure


def test_tables_and_headings_are_made_for_screen_readers(explanation):
    root = parse(explanation.to_html(groups="job"))
    for table in root.iter("table"):
        assert text_of(table.find("caption"))
        assert all(th.get("scope") == "col" for th in table.find("thead/tr"))
        assert all(row[0].get("scope") == "row" for row in table.find("tbody"))
        widths = {len(row) for part in table[1:] for row in part}
        assert len(widths) == 1
    levels = [int(e.tag[1]) for e in root.iter() if re.fullmatch(r"h\d", e.tag)]
    assert levels[0] == 1
    assert max(np.diff(levels)) == 1
    assert all(e.get("aria-hidden") == "true" for e in root.iter("svg"))
    assert all(details[0].tag == "summary" for details in root.iter("details"))


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(first, second):
    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


def faded(colour, behind, opacity):
    mixed = [
        round(int(a, 16) * opacity + int(b, 16) * (1 - opacity))
        for a, b in zip(
            re.findall("..", colour[1:]), re.findall("..", behind[1:]), strict=True
        )
    ]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def test_text_and_signs_stand_out_in_both_colour_schemes():
    inks = re.findall(r"--ink: (#\w{6})", PAGE)
    opacity = min(float(o) for o in re.findall(r"opacity: ([\d.]+)", SCOPED))
    accents = re.findall(r"--(?:bar|good|bad): (#\w{6})", SCOPED)
    assert len(inks) == len(accents) == 3
    for name in ("paper", "card"):
        grounds = re.findall(rf"--{name}: (#\w{{6}})", PAGE)
        for ink, ground in zip(inks, grounds, strict=True):
            assert contrast(faded(ink, ground, opacity), ground) >= 4.5
            assert all(contrast(accent, ground) >= 3 for accent in accents)


# ------------------------------------------------------------------------- notebook


def selectors(css):
    """Selectors of nested rules, written out in full; a condition adds nothing."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    found, parents = [], [[""]]
    for text, mark in re.findall(r"([^{};]*)([{};])", css):
        if mark == "}":
            parents.pop()
        elif mark == "{" and text.strip().startswith("@"):
            parents.append(parents[-1])
        elif mark == "{":
            parts = re.split(r",(?![^(]*\))", text)
            parents.append([in_full(p, q.strip()) for p in parents[-1] for q in parts])
            found += parents[-1]
    assert parents == [[""]]
    return found


def in_full(parent, selector):
    if "&" in selector:
        return selector.replace("&", parent)
    return f"{parent} {selector}".strip()


def test_selectors_of_nested_rules_are_found_wherever_they_point():
    css = (
        ".a { x: y; p, :is(b, i) { x: y; } body & { x: y; } @media z { u { x: y; } } }"
    )
    assert selectors(css) == [".a", ".a p", ".a :is(b, i)", "body .a", ".a u"]
    assert selectors(".a { x: y; } @media z { u { x: y; } }") == [".a", "u"]


def test_the_fragment_has_twenty_rows_and_keeps_its_style_to_itself(explanation):
    html = explanation[np.arange(50) % 4]._repr_html_()
    root = parse(html)
    assert [child.tag for child in root] == ["div"]
    names = {element.tag for element in root.iter()}
    assert not names & {"html", "head", "body", "meta", "title", "script"}
    assert not any(element.get("id") for element in root.iter())
    assert len(list(root.iter("article"))) == 20
    style = root.find("div/style").text
    assert len(selectors(style)) > 30
    for selector in selectors(style):
        assert re.match(r"\.skct-report(?![-\w]| *[+~])", selector)
    assert not re.search(r"[^-\w]color: #|background: #|--(ink|paper|card):", style)


# ------------------------------------------------------------------------- security

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</bdi></style></td><b>&amp;&lt;",
    "&copy; &#60;b&#62;",
    "line\nline\r\n\ttab",
    "null\0byte and \x1b[31mred",
    "\u202eevil \u05e9\u05dc\u05d5\u05dd",
    "lone \ud800 surrogate",
    "",
]


def hostile_page(name, category, row, label, group):
    """Report in which every kind of text comes from somebody else."""
    index = pd.Index([row, "y", "failed"], dtype=object)
    before, after = (
        pd.DataFrame({name: cells, 1: [0, 0, 0]}, index=index, dtype=object)
        for cells in ([category, "x", "x"], ["z", category + ".", "x"])
    )
    explanation = made(
        before,
        after,
        target=np.array([label] * 3, dtype=object),
        predicted=np.array(["old"] * 3, dtype=object),
        reason=np.array([f"why {category}", "", f"why {category}"], dtype=object),
        valid=np.array([True, True, False]),
        cost=np.ones(3),
    )
    groups = pd.Series([group] * 3, name=name, dtype=object)
    return explanation, explanation.to_html(groups=groups) + explanation._repr_html_()


def skeleton(html):
    """All elements but the places where an underscore lets a line break."""
    left_out = ("style", "wbr")
    return [(e.tag, e.attrib) for e in parse(html).iter() if e.tag not in left_out]


def raw_text():
    return st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))


def groupable(text):
    """Pandas itself cannot group by lone surrogates."""
    return not re.search("[\ud800-\udfff]", text)


@settings(max_examples=12, deadline=None)
@given(raw_text(), raw_text(), raw_text(), raw_text(), raw_text().filter(groupable))
@example(*HOSTILE[:5])
@example(*HOSTILE[4:])
def test_text_of_the_table_never_becomes_markup(name, category, row, label, group):
    explanation, html = hostile_page(name, category, row, label, group)
    html.encode("utf-8")
    plain = hostile_page("name", "category", "row", "label", "group")[1]
    assume(category not in ("x", "z"))  # a cell that does not change
    assert "\0" not in html
    assert skeleton(html) == skeleton(plain)
    shown = {"".join(element.itertext()) for element in parse(html).iter("bdi")}
    expected = {name, category, category + ".", row, label, group}
    assert {show(text) for text in expected} <= shown
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", str(explanation))


def test_no_template_can_forget_to_escape():
    template = environment().from_string("{{ x }}<p title='{{ x }}'>{{ 'a' ~ x }}</p>")
    text = "&lt;b&gt;\\x00\\u202e\\ud800&#39;"
    expected = f"{text}<p title='{text}'>a{text}</p>"
    assert template.render(x="<b>\0\u202e\ud800'") == expected
    with pytest.raises(UndefinedError):
        template.render(y="")


class Markup(str):
    """Text that claims to be markup already, as objects of web frameworks do."""

    __slots__ = ()

    def __html__(self):
        return str(self)


def test_text_that_claims_to_be_markup_is_escaped_all_the_same():
    text = Markup("<script>alert(1)</script>")
    _, html = hostile_page(*[text] * 5)
    assert "script" not in {element.tag for element in parse(html).iter()}
    assert html.count("&lt;script&gt;") > 20


@given(st.text(min_size=1))
def test_ordinary_text_is_shown_as_it_is(text):
    if text.isprintable() and text.strip():
        assert show(text) == text
    assert not re.search("[\x00-\x1f\u202e\ud800-\udfff]", show(text))


# -------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int8(3), "3"),
        (np.float32(0.1), "0.1"),
        (1.23456789, "1.2346"),
        (123456.78, "123457"),
        (99999.7, "100000"),
        (1e-7, "1e-07"),
        (-0.0, "0"),
        (np.nan, "missing"),
        (None, "missing"),
        (pd.NaT, "missing"),
        (pd.NA, "missing"),
        (np.True_, "True"),
        (pd.Timestamp("2024-02-29"), "2024-02-29"),
        (np.datetime64("2024-02-29T12:30"), "2024-02-29 12:30:00"),
        (("a", 1.5), "a, 1.5"),
        (" ", "' '"),
    ],
)
def test_values_read_like_those_of_the_table(value, text):
    assert show(value) == text


def test_a_change_never_reads_as_none():
    assert show_change(0.1234567, 0.1234568) == ("0.1234567", "0.1234568")
    assert show_change(123456.1, 123456.2) == ("123456.1", "123456.2")
    assert show_change(1.0, 2.0) == ("1", "2")


# --------------------------------------------------------------------------- groups


def test_groups_are_summaries_of_their_rows(fitted, denied):
    explanation = fitted.explain(denied[:40], target="approved")
    valid = explanation.valid & (np.arange(40) % 5 > 0)
    explanation = replace(explanation, valid=valid)
    table = explanation.by_group("job")
    assert table.index.name == "job"
    for job, row in table.iterrows():
        summary = explanation[(explanation.factual["job"] == job).to_numpy()].summary()
        pd.testing.assert_series_equal(row, summary, check_names=False)
    result = burden(
        explanation.cost, explanation.valid, explanation.factual["job"]
    ).table
    assert table["cost"].tolist() == result["cost"].tolist()
    root = parse(explanation.to_html(groups="job"))
    group_table = list(root.iter("table"))[1]
    shown = {row[0]: row[3] for row in rows_of(group_table)}
    assert shown == {job: f"{cost:.2f}" for job, cost in table["cost"].items()}


def test_groups_may_come_from_elsewhere(explanation):
    table = explanation.by_group(["b", "a", None, "a"])
    assert table["n_rows"].tolist() == [2, 1, 1]
    assert table.loc["a", "cost"] == 3.0
    assert table["cost"].isna().tolist() == [False, False, True]
    assert table.index.name == "group"
    ages = explanation.by_group(pd.cut(explanation.factual["age"], [0, 45, 90]))
    assert ages["n_rows"].tolist() == [2, 2]
    assert "(45, 90]" in explanation.to_html(
        groups=pd.cut(explanation.factual["age"], [0, 45, 90])
    )
    array = replace(explanation, factual=explanation.factual[["age"]].to_numpy())
    assert array.by_group(0)["n_rows"].tolist() == [1, 1, 1, 1]


def test_groups_may_be_a_column_of_a_multiindex(explanation):
    pairs = pd.MultiIndex.from_tuples(enumerate(explanation.factual.columns))
    factual, counterfactual = (
        frame.set_axis(pairs, axis=1)
        for frame in (explanation.factual, explanation.counterfactual)
    )
    explanation = replace(explanation, factual=factual, counterfactual=counterfactual)
    table = explanation.by_group((2, "job"))
    assert table["n_rows"].tolist() == [2, 1, 1]
    assert list(table.index.names) == [(2, "job")]
    group_table = list(parse(explanation.to_html(groups=(2, "job"))).iter("table"))[1]
    assert text_of(group_table.find("thead/tr/th")) == "2, job"


def test_wrong_groups_are_named(explanation):
    with pytest.raises(ValueError, match="Unknown feature 'Job' in groups.*'job'"):
        explanation.by_group("Job")
    with pytest.raises(ValueError, match="each of the 4 answers. Got .*shape \\(2,\\)"):
        explanation.to_html(groups=["a", "b"])
    two = replace(explanation, alternative=np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="alternatives of a row count one by one"):
        two.by_group(["a", "b"])
    assert two[two.alternative == 0].by_group(["a", "b"])["n_rows"].sum() == 2


# ----------------------------------------------------------------------------- text


def test_text_lists_the_changes_of_each_row_in_columns(explanation):
    assert str(explanation).splitlines() == [
        "<CounterfactualExplanation: 4 rows, 3 valid>",
        "mean cost 2.33, implausibility 3.00, target probability 75.0%, changes 1.00",
        "",
        "row 11: denied -> approved, cost 1.00, probability 75.0%",
        "    income     20.5 -> 41.25",
        "    job        cook -> nurse",
        "",
        "row 12: denied -> approved, cost 2.00, probability 75.0%",
        "    job     missing -> clerk",
        "",
        "row 13: denied -> approved; no valid counterfactual; stopped after 9 steps",
        "",
        "row 14: approved -> approved, cost 4.00, probability 75.0%",
        "    already predicted as the target; nothing has to change",
    ]


def test_text_of_many_rows_names_failures_further_down_and_stays_narrow(explanation):
    text = str(explanation[[2] + [0] * 30 + [2] * 8])
    assert text.count("20.5 -> 41.25") == 9
    assert "... and 29 more rows" in text
    assert text.count("no valid counterfactual; stopped after 9 steps") == 1 + 5
    assert "... and 3 more without what was asked for" in text
    long = pd.DataFrame(
        {"name" * 30: ["value" * 30] * 2, "x": [0, 0]}, index=["i" * 90, 1]
    )
    wide = made(long, long.replace("value" * 30, "other" * 30))
    wide = replace(wide, reason=np.array(["why " * 30] * 2, dtype=object))
    for shown in (text, str(wide), str(replace(wide, valid=~wide.valid))):
        assert max(map(len, shown.splitlines())) <= 88
    images = made(pd.DataFrame(np.zeros((1, 99))), pd.DataFrame(np.ones((1, 99))))
    assert "... and 87 more changes" in str(images)


# -------------------------------------------------------------------------- browser


def chromium(page, *options):
    """Open a page in a headless browser; gives what it writes to stdout and stderr."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *options]
    command += [f"--user-data-dir={page.parent / 'profile'}", page.as_uri()]
    log = ["--enable-logging=stderr", "--v=0"]
    done = subprocess.run(
        [*command[:1], *log, *command[1:]],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_shows_the_report_without_complaint(explanation, tmp_path):
    from matplotlib.image import imread

    page, picture = tmp_path / "report.html", tmp_path / "dark.png"
    page.write_text(explanation.to_html(groups="job"), encoding="utf-8")
    dom, log = chromium(page, "--dump-dom")
    assert dom.count("<article") == 4
    assert dom.count("<path") == page.read_text(encoding="utf-8").count("<path")
    assert "CONSOLE" not in log
    dark = "--blink-settings=preferredColorScheme=0"
    _, log = chromium(page, dark, f"--screenshot={picture}")
    assert "CONSOLE" not in log
    corner = (imread(picture)[1, 1, :3] * 255).round().astype(int)
    paper = re.findall(r"--paper: #(\w{6})", PAGE)[1]
    assert "".join(f"{part:02x}" for part in corner) == paper
