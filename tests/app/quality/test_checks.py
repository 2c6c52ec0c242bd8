from __future__ import annotations

import time
from typing import Any

import pytest

from app.quality.checks import MAKERS, WORKERS_ONLY, Subject, check, judge
from app.quality.definition import KINDS, Gate
from app.quality.report import Finding
from app.quality.text.draft import Draft
from app.quality.text.languages import language_of

SENTENCES = "The baker opens at six and sells warm bread. People come in early and talk about the weather. "
GERMAN = (
    "# Brot backen\n\nDer Bäcker öffnet um sechs und verkauft warmes Brot. Die Leute kommen früh und reden über das "
    "Wetter, und das ist nicht immer schön. Wir haben eine Bäckerei in der Stadt, und sie wird von einer Familie geführt.\n"
)
ARABIC = "# خبز\n\n" + "الخباز يفتح المتجر في السادسة ويبيع الخبز الدافئ للناس كل يوم. " * 15
CHINESE = "# 面包\n\n" + "面包师六点开门,卖热面包。人们很早就来谈论天气。" * 30


def words(count: int) -> str:
    """So many words in short sentences that never say the same."""
    spoken = [
        f"{'abcdefghij'[n % 10] * 2}{'klmnopqrst'[n // 10 % 10]}{'uvwxyzabcd'[n // 100 % 10]}o"
        for n in range(count)
    ]
    return ". ".join(" ".join(spoken[at : at + 10]) for at in range(0, count, 10)) + "."


def found(kind: str, text: str, brief: dict[str, Any] | None = None, **options: Any) -> Finding:
    (spec,) = Gate.read({"checks": [{"check": kind} | options]}).checks
    return check(spec, Subject(text, {"content": text}, brief or {}))


def test_every_kind_is_made_here_or_by_workers() -> None:
    assert set(MAKERS) == {kind for kind, spec in KINDS.items() if kind not in {"command", "http", "judge"}}


@pytest.mark.parametrize(
    ("kind", "keys"),
    [("command", {"argv": ["true"]}), ("http", {"url": "http://a.example"}), ("judge", {"criteria": "x"})],
)
def test_what_only_workers_make_is_not_made(kind: str, keys: dict[str, Any]) -> None:
    finding = found(kind, "Some text.", **keys)
    assert (finding.score, finding.passed, finding.error) == (None, None, WORKERS_ONLY)


class TestLength:
    @pytest.mark.parametrize(
        ("count", "options", "brief", "issue", "wanted"),
        [
            (950, {}, {"target_length": 1000}, None, "wanted 900-1100"),
            (612, {}, {"target_length": 1000}, "Far too short", "612 words, wanted 900-1100"),
            (850, {}, {"target_length": 1000}, "Too short", "wanted 900-1100"),
            (1101, {}, {"target_length": 1000}, "Too long", "wanted 900-1100"),
            (1200, {"tolerance": 0.2}, {"target_length": "1000"}, None, "wanted 800-1200"),
            (299, {}, {}, "Too short", "wanted at least 300"),
            (990, {}, {}, None, "wanted at least 300"),
            (30, {"min_words": 20, "max_words": 40}, {"target_length": 1000}, None, "wanted 20-40"),
            (41, {"max_words": 40}, {}, "Too long", "wanted at most 40"),
            (400, {"target": 400}, {"target_length": 1000}, None, "wanted 360-440"),
        ],
    )
    def test_words_against_what_was_wanted(
        self, count: int, options: dict[str, Any], brief: dict[str, Any], issue: str | None, wanted: str
    ) -> None:
        finding = found("length", words(count), brief, **options)
        assert finding.issue == issue
        assert wanted in finding.evidence
        assert (finding.score == 10) == (issue is None)

    def test_shorter_is_worse(self) -> None:
        scores = [
            found("length", words(count), {"target_length": 1000}).score for count in (50, 300, 600, 800, 900)
        ]
        assert scores == sorted(set(scores))  # type: ignore[type-var]

    def test_what_is_said_again_does_not_count(self) -> None:
        finding = found("length", SENTENCES * 40)
        assert finding.issue == "Far too short"
        assert "say again what was said" in finding.evidence

    def test_a_text_said_over_and_over_fails_whatever_its_length(self) -> None:
        whole = words(420)
        assert found("length", whole, {"target_length": 400}).score == 10
        for times in (2, 3, 25):
            again = "\n\n".join([whole] * times)
            for wished in ({"target_length": 400}, {"target_length": 420 * times}, {}):
                finding = found("length", again, wished)
                assert finding.issue in {"Repeats itself", "Far too short"}
                assert "say again what was said" in finding.evidence
                assert finding.score is not None
                assert finding.score < 5, "what the library's gates demand"

    @pytest.mark.parametrize("odd", [True, -5, 0, 10**12, "many", [3], {"a": 1}, None, 1e300])
    def test_an_odd_wish_is_none(self, odd: Any) -> None:
        assert "words, wanted" in found("length", words(300), {"target_length": odd}).evidence


class TestStructureHeadingsAndLists:
    def test_walls_and_fragments_cost(self) -> None:
        fine = "\n\n".join(words(60) for _ in range(4))
        assert found("structure", fine).score == 10
        assert found("structure", words(60)).issue == "Poor structure"
        wall = found("structure", f"Short.\n\n{words(200)}\n\nShort.")
        assert (wall.issue, wall.evidence) == ("Paragraphs too long", "3 paragraphs, 1 over 150 words")
        assert found("structure", words(60), min_paragraphs=1).score == 10

    def test_headings(self) -> None:
        body = "\n\n## Part {}\n\n"
        text = "# Title" + "".join(body.format(n) + words(300) for n in range(3))
        assert found("headings", text).score == 10
        assert found("headings", text.replace("# Title", "")).issue == "Missing title"
        assert found("headings", "# Title\n\n" + words(900)).issue == "Too few headings"
        assert found("headings", words(100), title=False).score == 10

    def test_a_title_beside_the_text_counts(self) -> None:
        (spec,) = Gate.read({"checks": [{"check": "headings"}]}).checks
        assert check(spec, Subject(words(100), {"title": "Bread", "content": words(100)})).score == 10

    def test_required_headings_by_their_words(self) -> None:
        text = "# 1.2.0\n\n## Added\n\nA bell.\n\n## What was fixed\n\nThe door."
        assert found("headings", text, required=["Added", "Fixed"]).score == 10
        missing = found("headings", text, required=["Added", "Removed"])
        assert (missing.issue, missing.score) == ("Missing sections: Removed", 4.0)

    def test_headings_and_items_in_code_do_not_count(self) -> None:
        text = "# Title\n\nText.\n\n```\n# no heading\n- no item\n- none either\n```\n"
        draft = Draft(text)
        assert (draft.headings, draft.list_items, draft.code_blocks) == ([(1, "Title")], 0, 1)

    def test_underlined_headings_count(self) -> None:
        assert Draft("Title\n=====\n\nPart\n----\n\nText.").headings == [(1, "Title"), (2, "Part")]

    def test_lists_in_long_texts(self) -> None:
        assert found("lists", words(500)).issue == "No lists"
        assert found("lists", words(500) + "\n\n- one\n- two\n").score == 10
        assert found("lists", words(50)).score == 10


class TestParts:
    def test_introduction_names_the_topic(self) -> None:
        opening = f"{SENTENCES * 2}\n\nMore."
        assert found("introduction", opening, {"topic": "baking bread"}).score == 10
        assert found("introduction", opening, {"topic": "submarines"}).evidence.endswith("topic not named")
        assert found("introduction", "Short.\n\n" + opening).issue == "Weak introduction"

    def test_examples(self) -> None:
        assert found("examples", SENTENCES).issue == "Missing examples"
        assert found("examples", SENTENCES + "For example, they laugh.").issue == "Missing practical examples"
        assert found("examples", SENTENCES + "For example, they sold 40 loaves.").score == 10
        assert (
            found("examples", SENTENCES + "For example, they sold 40 loaves.", minimum=2).issue
            == "Missing examples"
        )
        assert found("examples", SENTENCES + "\n\n```\nbake(40)\n```\n").score == 10

    @pytest.mark.parametrize("word", ["exemplary", "forexample"])
    def test_words_count_whole_only(self, word: str) -> None:
        assert found("examples", f"{SENTENCES}An {word} baker.").issue == "Missing examples"

    def test_conclusion(self) -> None:
        start = f"# Bread\n\n{SENTENCES}\n\n{SENTENCES}\n\n"
        whole = (
            "In short, a baker who opens early meets many people, and hears a lot about the weather there."
        )
        assert found("conclusion", start + whole).score == 10
        assert found("conclusion", start + "That was all there is to say.").score == 2.5
        back = found(
            "conclusion",
            f"{start}Bread is what brings them here, and the talk is what makes them stay for so long.",
        )
        assert (back.score, back.issue) == (6, "Weak conclusion")
        assert found("conclusion", start + whole.rsplit(" ", 3)[0]).evidence == "ends in mid-sentence"

    def test_a_call_at_the_end_does_not_hide_the_conclusion(self) -> None:
        whole = (
            "In short, a baker who opens early meets many people, and hears a lot about the weather there."
        )
        text = f"{SENTENCES}\n\n{whole}\n\nStart tomorrow at six."
        assert found("conclusion", text).score == 10
        assert found("call_to_action", text).evidence == "at the end: start"

    def test_call_to_action_is_an_order(self) -> None:
        assert (
            found("call_to_action", "A fresh start was made with a second try.").issue
            == "Weak call-to-action"
        )
        assert found("call_to_action", "Try one today.").score == 10
        assert found("call_to_action", "Ring the bell.", also=["ring the bell"]).score == 10
        assert found("call_to_action", "He was bring the belly.", also=["ring the bell"]).score == 2


class TestWording:
    def test_tone(self) -> None:
        assert found("tone", SENTENCES).score == 10
        slang = found("tone", SENTENCES + "It was awesome, guys.")
        assert (slang.issue, slang.score) == ("Too casual: awesome, guys", 6.5)
        assert found("tone", SENTENCES + "It was awesome, guys.", {"tone": "friendly"}).score == 10
        assert (
            found("tone", SENTENCES, voice="never say 'weather'").issue == "Brand voice: “weather” is used 1×"
        )

    def test_readability_bands(self) -> None:
        hard = "Institutional considerations necessitate comprehensive reconfiguration of organisational prerequisites. "
        assert found("readability", SENTENCES * 3).score == 10
        assert found("readability", hard * 3).issue == "Hard to read"
        assert found("readability", SENTENCES * 3, max_ease=60).issue == "Too simple"
        assert found("readability", SENTENCES * 3, min_grade=9).issue == "Too simple"
        assert found("readability", SENTENCES * 3, max_grade=1).issue == "Hard to read"
        long = "and ".join(["the man went to the shop "] * 12) + "."
        assert found("readability", long).issue == "Sentences too long"

    def test_keywords(self) -> None:
        text = f"# Bread\n\n{SENTENCES}"
        assert found("keywords", text).evidence == "not judged: no topic and no key phrase was given"
        assert found("keywords", text, {"topic": "warm bread"}).score == 10
        assert found("keywords", text, {"topic": "space travel"}).issue == "Off topic"
        assert found("keywords", text, {"topic": "people", "primary_keyword": "warm bread"}).score == 10
        half = found("keywords", text, {"topic": "bread", "keywords": "weather, rye flour"})
        assert (half.issue, half.suggestion) == ("Missing key phrases", "Use rye flour.")
        part = found("keywords", text, {"topic": "bread weather rockets"})
        assert (part.issue, part.suggestion) == ("Missing words of the topic", "Say something of rockets.")
        assert found("keywords", text, {"topic": "weather"}).issue == "Topic missing in title"
        assert found("keywords", text, phrases=["warm bread"]).score == 10

    def test_keyword_stuffing(self) -> None:
        stuffed = found(
            "keywords", "The best rye bread is here. " * 30, {"primary_keyword": "best rye bread"}
        )
        assert stuffed.issue == "Keyword stuffing"
        assert stuffed.score is not None
        assert stuffed.score < 1

    @pytest.mark.parametrize(
        ("text", "issue"),
        [
            ("Write to [Your Company] today.", "Placeholder left in"),
            ("# [Insert title]\n\nText.", "Placeholder left in"),
            ("Lorem ipsum dolor sit amet.", "Placeholder left in"),
            ("As an AI, I have no bread.", "Speaks as a chatbot"),
            ("Certainly! Here is the text.", "Speaks as a chatbot"),
            ("Sure! Here’s a blog post.", "Speaks as a chatbot"),
            (SENTENCES + "And then the baker goes to the", "Broken off"),
            ("Let us delve into the tapestry: a game-changer.", "Stock phrases"),
        ],
    )
    def test_stock_phrases(self, text: str, issue: str) -> None:
        assert found("stock_phrases", text).issue == issue

    def test_a_link_is_no_placeholder_and_a_few_stock_phrases_are_let_pass(self) -> None:
        assert found("stock_phrases", f"{SENTENCES}See [your account](https://a.example).").score == 10
        assert found("stock_phrases", f"{words(400)} It is worth noting this.").score == 10
        assert (
            found("stock_phrases", f"{words(400)} It is worth noting this.", per_thousand=0).issue
            == "Stock phrases"
        )
        told = found(
            "stock_phrases",
            f"{words(400)} It is worth noting this.",
            per_thousand=0,
            allow=["It is worth noting"],
        )
        assert told.score == 10
        assert found("stock_phrases", f"{SENTENCES}Acme rocks.", also=["acme rocks"]).issue == "Stock phrases"

    def test_wording_is_what_proselint_says(self) -> None:
        finding = found("wording", "This is very unique. " + SENTENCES)
        assert "very unique" in str(finding.suggestion)


@pytest.mark.parametrize(
    ("end", "broken"),
    [
        ("and so it ends.", False),
        ("and so it ends…", False),
        ("“and so it ends.”", False),
        ("**and so it ends.**", False),
        ("it ends with a smile 🙂", False),
        ("more on this at https://a.example/b", False),
        ("#bread #baking", False),
        ("— Ada", False),
        ("- bread\n- butter", False),
        ("```\ncode\n```", False),
        ("and so it ends with the", True),
        ("these are the steps:", True),
        ("- bread and\n- butter and the", True),
        ("- We bake bread.\n- We sell it to", True),
        ("## A last heading", True),
        ("```\ncode that never", True),
    ],
)
def test_a_text_that_is_broken_off_is_known(end: str, broken: bool) -> None:
    assert (Draft(f"{SENTENCES}\n\n{end}").broken_off is not None) == broken


class TestDataAndPatterns:
    def test_json_schema(self) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        (spec,) = Gate.read({"checks": [{"check": "json_schema", "schema": schema}]}).checks
        assert check(spec, Subject("", {"n": 3})).score == 10
        wrong = check(spec, Subject("", {"n": "three"}))
        assert (wrong.issue, wrong.score) == ("Does not fit the schema", 4.0)
        assert wrong.suggestion == "/n: 'three' is not of type 'integer'"
        assert check(spec, Subject("", None)).passed is False

    def test_the_schema_of_the_agent_is_used_where_the_check_has_none(self) -> None:
        (spec,) = Gate.read({"checks": [{"check": "json_schema"}]}).checks
        assert check(spec, Subject("", {}, {}, {"required": ["a"]})).passed is False
        assert check(spec, Subject("", {})).evidence.startswith("not judged")

    def test_a_part_of_the_result(self) -> None:
        (spec,) = Gate.read(
            {"checks": [{"check": "json_schema", "of": "pages.1", "schema": {"const": 2}}]}
        ).checks
        assert check(spec, Subject("", {"pages": [1, 2]})).score == 10
        assert check(spec, Subject("", {"pages": [1]})).passed is False

    def test_references_to_nowhere_are_no_low_score(self) -> None:
        (spec,) = Gate.read({"checks": [{"check": "json_schema", "schema": {"$ref": "#/nowhere"}}]}).checks
        finding = check(spec, Subject("", {}))
        assert (finding.score, finding.error) == (
            None,
            "the schema cannot be used: one of its references leads nowhere",
        )

    def test_a_schema_that_multiplies_is_given_up(self) -> None:
        defs = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 4} for n in range(20)} | {"d20": {}}
        (spec,) = Gate.read(
            {"checks": [{"check": "json_schema", "schema": {"$defs": defs, "$ref": "#/$defs/d0"}}]}
        ).checks
        began = time.monotonic()
        assert check(spec, Subject("", {})).error == "the value and its schema would need too many steps"
        assert time.monotonic() - began < 10

    def test_regex(self) -> None:
        assert found("regex", "Version 1.2", must=[r"\d\.\d"], must_not=["TODO"]).score == 10
        half = found("regex", "Version 1.2 TODO", must=[r"\d\.\d"], must_not=["TODO"])
        assert (half.score, half.issue) == (5.0, "A forbidden pattern is there")
        assert found("regex", "version", must=["VERSION"]).issue == "A required pattern is missing"
        assert found("regex", "version", must=["VERSION"], ignore_case=True).score == 10

    def test_a_pattern_made_to_explode_does_not(self) -> None:
        began = time.monotonic()
        assert found("regex", "a" * 200_000 + "!", must=["^(a+)+$"]).score == 0
        assert time.monotonic() - began < 5


TEXT_KINDS = sorted(set(MAKERS) - {"json_schema", "regex"})


@pytest.mark.parametrize("kind", TEXT_KINDS)
@pytest.mark.parametrize("text", ["", "  \n\t\n", "\u200b\u202e", "\x00"])
def test_an_empty_text_is_worth_nothing(kind: str, text: str) -> None:
    finding = found(kind, text, {"topic": "bread"})
    assert (finding.score, finding.issue) == (0, "Empty text")


class TestOtherLanguages:
    @pytest.mark.parametrize(
        ("text", "name", "is_english"),
        [
            (SENTENCES, "English", True),
            (GERMAN, "German", False),
            (
                "Le boulanger ouvre à six heures et les gens viennent dans la boutique pour parler de la pluie.",
                "French",
                False,
            ),
            (
                "El panadero abre a las seis y la gente viene para hablar del tiempo con los vecinos de la calle.",
                "Spanish",
                False,
            ),
            (ARABIC, "Arabic script", False),
            (CHINESE, "Cjk script", False),
            ("Пекарь открывает в шесть и продаёт тёплый хлеб.", "Cyrillic script", False),
            ("qwer tzui asdf jkl yxcv bnm qwer tzui asdf jkl yxcv bnm qwer", "English", True),
            ("12 34 !!", "English", True),
        ],
    )
    def test_languages_are_told_apart(self, text: str, name: str, is_english: bool) -> None:
        language = language_of(text)
        assert (language.name, language.is_english) == (name, is_english)

    @pytest.mark.parametrize(
        "kind", ["conclusion", "examples", "call_to_action", "tone", "readability", "wording"]
    )
    def test_what_looks_for_english_wording_is_not_judged(self, kind: str) -> None:
        finding = found(kind, GERMAN)
        assert (finding.score, finding.passed, finding.error) == (None, None, None)
        assert finding.evidence == "not judged: the text is in German"

    def test_shape_and_placeholders_are_judged_in_every_language(self) -> None:
        assert found("headings", GERMAN).score == 10
        assert found("structure", GERMAN, min_paragraphs=1).score == 10
        assert found("keywords", GERMAN, {"topic": "Brot backen"}).score == 10
        assert found("stock_phrases", GERMAN).score == 10
        assert found("stock_phrases", GERMAN + "\n[insert name]").issue == "Placeholder left in"
        assert found("headings", ARABIC).score == 10
        assert found("length", ARABIC, min_words=100).score is not None

    def test_words_are_not_counted_where_they_do_not_stand_apart(self) -> None:
        assert found("length", CHINESE).evidence == "not judged: words cannot be counted in Cjk script"
        assert found("stock_phrases", CHINESE).score == 10


class TestMarkup:
    def test_html_is_read_for_its_words(self) -> None:
        text = "<h1>Bread</h1><p>The <b>baker</b> opens at six &amp; sells.</p><ul><li>rye</li><li>oat</li></ul><pre>x = 1</pre>"
        draft = Draft(text + "<script>alert('no')</script>")
        assert draft.title == "Bread"
        assert draft.paragraphs[0] == "The baker opens at six & sells."
        assert (draft.list_items, draft.code_blocks) == (2, 1)
        assert "alert" not in draft.prose

    def test_right_to_left_text_keeps_its_words(self) -> None:
        assert Draft(ARABIC).words == 165
        assert Draft(ARABIC).title == "خبز"

    def test_hidden_characters_do_not_count(self) -> None:
        assert Draft("bre\u200bad and\x00 butter").tokens == ["bread", "and", "butter"]


HOSTILE = {
    "a line": "word " * 200_000,
    "a word": "a" * 1_000_000,
    "a heading": "# " + "#" * 999_990 + "a",
    "numbers": "1," * 500_000,
    "line ends": "\n" * 1_000_000,
    "brackets": "[" * 1_000_000,
    "quotes": "> " * 500_000,
    "items": "- a\n" * 250_000,
    "emphasis": "*a" * 500_000,
    "tags": "<" * 1_000_000,
    "paragraphs": "<p>" * 333_000,
    "fences": "```\n" * 250_000,
    "a table": "|a|b|\n|-|-|\n" + "|1|2|\n" * 160_000,
    "nesting": "\n".join("  " * n + "- a" for n in range(1400)),
    "han": "漢字" * 500_000,
    "nul": "\0a " * 333_000,
    "prose": (SENTENCES * 20 + "\n\n") * 500,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_megabyte_of_anything_is_judged_in_bounded_time(text: str) -> None:
    brief = {"topic": "work queues", "primary_keyword": "work queue", "brand_voice": "avoid 'synergy'" * 100}
    gate = Gate.read({"checks": [{"check": kind} for kind in TEXT_KINDS]})
    began = time.process_time()
    report = judge(gate, Subject(text, {"content": text}, brief))
    assert time.process_time() - began < 8
    assert report.score is not None
