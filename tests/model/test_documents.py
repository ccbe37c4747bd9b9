"""The three formats, as strict as each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.errors import InvalidInputError
from smiless_core.model.documents import Format, parse, render

texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1) | st.sampled_from(
    [
        "no",
        "yes",
        "null",
        "~",
        "true",
        "1e-3",
        "0o7",
        "0x1f",
        ".5",
        "1.",
        ".nan",
        "1:30",
        "<<",
        "=",
        "2024-01-01",
        "1_0",
    ]
)
scalars = texts | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
documents = st.dictionaries(
    texts,
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8),
)


@given(documents, st.sampled_from(Format))
def test_what_is_rendered_parses_to_the_same(document: dict[str, object], format: Format) -> None:
    data = render(document, format)
    if document or format is not Format.TOML:  # an empty TOML document is an empty file
        assert parse(data, format) == document
        assert parse(b"\xef\xbb\xbf" + data, format) == document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-17", -17),
        ("+3", 3),
        ("007", 7),
        ("0o17", 15),
        ("0xFf", 255),
        ("1e-3", 1e-3),
        ("1.5E+3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("+.INF", float("inf")),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("''", ""),
        ("'1'", "1"),
        ('"1"', "1"),
        ("! 1", "1"),
        ("!!str 1", "1"),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("1e", "1e"),
        ("[a, {b: [1]}]", ["a", {"b": [1]}]),
        ("{1: a, no: b}", {"1": "a", "no": "b"}),
        ("|\n  a\n  b", "a\nb"),
    ],
)
def test_yaml_is_read_by_its_core_schema(text: str, value: object) -> None:
    result = parse(f"x: {text}".encode(), Format.YAML)
    assert result == {"x": value}
    assert isinstance(result, dict)
    assert type(result["x"]) is type(value)


@pytest.mark.parametrize(
    ("format", "text", "message"),
    [
        ("yaml", "a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is given twice"),
        ("yaml", "a: {1: x, '1': y}", "line 1, column 11: the key '1' is given twice"),
        (
            "yaml",
            "a: &x 1\nb: *x",
            "line 2, column 4: aliases (*name) are not supported: write the value out",
        ),
        ("yaml", "&x a: *x", "line 1, column 7: aliases (*name) are not supported: write the value out"),
        ("yaml", "a: &x [*x]", "line 1, column 8: aliases (*name) are not supported: write the value out"),
        ("yaml", "[a]: 1", "line 1, column 1: expected a key that is text"),
        (
            "yaml",
            "a: !!python/name:os.system ''",
            "line 1, column 4: the tag tag:yaml.org,2002:python/name:os.system is",
        ),
        ("yaml", "a: !!set {b}", "line 1, column 4: the tag tag:yaml.org,2002:set is not supported"),
        ("yaml", "a: !!int '1'", "line 1, column 4: the tag tag:yaml.org,2002:int is not supported"),
        ("yaml", "a: 1\n---\nb: 2", "line 2, column 1: expected one document, got another one"),
        ("yaml", "a: [1, 2", "line 2, column 1: not valid YAML: did not find expected ',' or ']'"),
        (
            "yaml",
            "a: b: c",
            "line 1, column 5: not valid YAML: mapping values are not allowed in this context",
        ),
        ("yaml", "# nothing\n", "the file is empty"),
        ("yaml", "a: \x07", "not valid YAML: control characters are not allowed at position 3"),
        ("yaml", "1" * 5000, "line 1, column 1: a number has too many digits"),
        ("json", '{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is given twice"),
        ("json", '{"a": 1', "line 1, column 8: not valid JSON: expecting ',' delimiter"),
        ("json", "[1,\n 2,]", "line 2, column 4: not valid JSON: expecting value"),
        ("json", "1 2", "line 1, column 3: not valid JSON: extra data"),
        ("json", "1" * 5000, "not valid JSON: a number has too many digits"),
        ("toml", "a = 1\na = 2", "not valid TOML: cannot overwrite a value (at end of document)"),
        ("toml", "[a]\n[a]", "not valid TOML: cannot declare ('a',) twice (at line 2, column 3)"),
        ("toml", "a = [1", "not valid TOML: unclosed array (at end of document)"),
        ("toml", "a = " + "1" * 5000, "not valid TOML: a number has too many digits"),
    ],
)
def test_what_is_refused_and_how(format: str, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse(text.encode(), Format(format))
    assert str(caught.value).startswith(message)


BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 20)
)


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("yaml", BOMB),
        ("yaml", "[" * 10**6),
        ("yaml", "- " * 10**6),
        ("yaml", "{a: " * 10**6),
        ("yaml", "? " * 10**6),
        ("json", "[" * 10**6),
        ("json", '{"a":' * 10**6),
        ("toml", "a = " + "[" * 10**6),
        ("toml", "a = " + "{a = " * 10**5),
        ("toml", "a." * 10**6 + "a = 1"),
        ("toml", "[" + '"a" . ' * 10**6 + "a]"),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_made_to_exhaust_a_parser_is_refused(format: str, text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"nested|aliases|expected a key that is text"):
        parse(text.encode(), Format(format))


def test_nesting_is_allowed_as_deep_as_a_file_may_need() -> None:
    for format, text in (
        ("yaml", "[" * 32 + "]" * 32),
        ("json", "[" * 32 + "]" * 32),
        ("toml", "a." * 31 + "a = 1"),
    ):
        assert parse(text.encode(), Format(format))
