"""Application and profile files: whatever is wrong with one, the error is one line: file, place, value."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.errors import InvalidInputError
from smiless_core.model import Application, Function, Hardware, HardwareProfile, Prices, Profile, files
from smiless_core.model.documents import Format, render

FORMATS = [format.value for format in Format]
DELETE = object()

APPLICATION = {
    "name": "street",
    "sla": 2.0,
    "attainment_target": 0.95,
    "functions": [
        {"name": "detect", "profile": "object-detection"},
        "read",
        {"name": "say", "profile": "tts"},
    ],
    "edges": [["detect", "read"], ["read", "say"]],
}
CPU = {
    "alpha": 1.0,
    "beta": 0.1,
    "gamma": 0.02,
    "dispatch": 0.01,
    "cold_start_mean": 2.0,
    "cold_start_std": 0.5,
    "sizes": [1.0, 2.0],
    "batches": [1, 2],
}
PROFILES = {
    "profiles": {
        "ocr": {"hardware": {"cpu": CPU, "gpu": {**CPU, "sizes": [0.1, 1.0], "cold_start_samples": [1.5]}}},
        "a.b": {"hardware": {"cpu": CPU}},
    },
    "prices": {"cpu": 1e-05, "gpu": 0.001},
    "notes": ["measured by hand"],
}


def changed(document: Any, path: tuple[object, ...], value: object) -> Any:
    """Return a copy of a document with the value at a path replaced, added or deleted."""
    if not path:
        return value
    key, *rest = path
    copy = list(document) if isinstance(document, list) else dict(document)
    if value is DELETE and not rest:
        del copy[key]
    elif not rest:
        copy[key] = value
    else:
        copy[key] = changed(copy[key], tuple(rest), value)
    return copy


def error_of(read: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read(*arguments, **options)
    message = str(caught.value)
    assert message.isprintable()
    return message


# -- what is right -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json", ".toml", ".YAML"])
def test_an_application_file_is_read_whatever_its_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"app{suffix}"
    path.write_bytes(render(APPLICATION, Format.of(path)))
    expected = Application(
        (Function("detect", "object-detection"), Function("read", "read"), Function("say", "tts")),
        (("detect", "read"), ("read", "say")),
        sla=2.0,
        attainment_target=0.95,
        name="street",
    )
    assert files.read_application(path) == files.read_application(str(path)) == expected


def test_only_sla_and_functions_are_needed() -> None:
    app = files.decode_application(b"sla: 2\nfunctions: [detect]", "yaml")
    assert app == Application.chain("detect", sla=2.0)


@pytest.mark.parametrize("format", FORMATS)
def test_a_profile_file_is_read_whatever_its_format(format: str) -> None:
    profiles, prices = files.decode_profile_file(render(PROFILES, Format(format)), format)
    cpu = HardwareProfile(**CPU)
    gpu = cpu.replace(sizes=(0.1, 1.0), cold_start_samples=(1.5,))
    assert profiles == {
        "ocr": Profile("ocr", {Hardware.CPU: cpu, Hardware.GPU: gpu}),
        "a.b": Profile("a.b", {Hardware.CPU: cpu}),
    }
    assert list(profiles) == ["ocr", "a.b"]
    assert prices == Prices(cpu=1e-5, gpu=1e-3)
    assert files.decode_profile_file(render(changed(PROFILES, ("prices",), DELETE), Format(format)), format)[1] is None


amounts = st.floats(0.0, 1e300)
names = st.text(min_size=1, max_size=12).filter(lambda name: name.isprintable() and name.strip())


@st.composite
def profile_sets(draw: st.DrawFn) -> dict[str, Profile]:
    """Draw profiles with any names and numbers that a noun takes."""

    def model(kind: Hardware) -> HardwareProfile:
        size = st.floats(1e-9, 1.0 if kind is Hardware.GPU else 1e6)
        return HardwareProfile(
            alpha=draw(st.floats(1e-300, 1e300)),
            beta=draw(amounts),
            gamma=draw(amounts),
            dispatch=draw(amounts),
            cold_start_mean=draw(amounts),
            cold_start_std=draw(amounts),
            cold_start_samples=tuple(draw(st.lists(amounts, max_size=3))),
            sizes=tuple(draw(st.lists(size, min_size=1, max_size=3, unique=True))),
            batches=tuple(draw(st.lists(st.integers(1, 2**62), min_size=1, max_size=3, unique=True))),
        )

    kinds = st.lists(st.sampled_from(Hardware), min_size=1, unique=True)
    tricky = st.sampled_from(
        ["no", "1e-3", "null", "~", "1", "0o7", ".inf", "2024-01-01", "a: b", "#", "<<", "!x", "*y"]
    )
    chosen = draw(st.lists(names | tricky, min_size=1, max_size=4, unique=True))
    return {name: Profile(name, {kind: model(kind) for kind in draw(kinds)}) for name in chosen}


@given(
    profile_sets(),
    st.sampled_from(FORMATS),
    st.lists(names, max_size=2),
    st.none() | st.builds(Prices, cpu=amounts, gpu=amounts),
)
def test_what_is_written_is_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    profiles: dict[str, Profile],
    format: str,
    notes: list[str],
    prices: Prices | None,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"profiles.{format}"
    files.write_profiles(profiles, path, prices=prices, notes=notes)
    assert files.read_profile_file(path) == (profiles, prices)
    assert files.read_profiles(path) == profiles
    assert list(files.read_profiles(path)) == list(profiles)


# -- what is wrong with the content --------------------------------------------------------------------------

WRONG_APPLICATIONS = [
    (("functions", 2, "profile"), 3, "functions[2].profile: expected text, got 3"),
    (
        ("functions", 2, "profile"),
        "",
        "functions[2].profile: expected printable text that is not blank, got ''",
    ),
    (("functions", 2, "name"), "detect", "functions[2].name: the name 'detect' is taken by functions[0]"),
    (("functions", 2, "profil"), "x", "functions[2]: no key named 'profil' (did you mean 'profile'?)"),
    (("functions", 2, "profile"), DELETE, "functions[2]: the key 'profile' is missing"),
    (("functions", 1), 7, "functions[1]: expected a mapping, got 7"),
    (("functions", 1), "", "functions[1].name: expected printable text that is not blank, got ''"),
    (("functions",), [], "functions: an application needs at least one function, got none"),
    (("functions",), "detect", "functions: expected a list, got 'detect'"),
    (("functions",), {"detect": "ocr"}, "functions: expected a list, got {'detect': 'ocr'}"),
    (("functions",), DELETE, "the key 'functions' is missing"),
    (("edges", 1, 1), "sya", "edges[1]: no function named 'sya' (did you mean 'say'?)"),
    (("edges", 1, 1), "detect", "edges: the edges close a cycle: detect -> read -> detect"),
    (("edges", 1), ["detect", "read"], "edges[1]: the edge from 'detect' to 'read' repeats edges[0]"),
    (("edges", 1), ["say", "say"], "edges[1]: function 'say' cannot wait for itself"),
    (("edges", 1), ["say"], "edges[1]: expected a pair of function names, got ['say']"),
    (("edges", 1), "say", "edges[1]: expected a pair of function names, got 'say'"),
    (("edges", 1, 0), 3, "edges[1]: expected text, got 3"),
    (("edges",), 3, "edges: expected a list, got 3"),
    (("sla",), 0, "sla: expected a finite number above 0, got 0"),
    (("sla",), -2.5, "sla: expected a finite number above 0, got -2.5"),
    (("sla",), "2", "sla: expected a finite number above 0, got '2'"),
    (("sla",), True, "sla: expected a finite number above 0, got True"),
    (("sla",), [2], "sla: expected a finite number above 0, got [2]"),
    (("sla",), DELETE, "the key 'sla' is missing"),
    (("slo",), 1, "no key named 'slo' (did you mean 'sla'?)"),
    (
        ("attainment_target",),
        99,
        "attainment_target: expected a finite number above 0 and of at most 1, got 99",
    ),
    (("name",), 3, "name: expected text, got 3"),
    (("name",), "a\nb", "name: expected printable text that is not blank, got 'a\\nb'"),
]

OCR = ("profiles", "ocr", "hardware")
WRONG_PROFILES = [
    (
        (*OCR, "cpu", "alpha"),
        -1,
        "profiles.ocr.hardware.cpu.alpha: expected a finite number of at least 0, got -1",
    ),
    (
        (*OCR, "cpu", "sizes", 1),
        "x",
        "profiles.ocr.hardware.cpu.sizes[1]: expected a finite number above 0, got 'x'",
    ),
    ((*OCR, "cpu", "sizes"), [], "profiles.ocr.hardware.cpu.sizes: expected at least one value, got none"),
    ((*OCR, "cpu", "alphaa"), 1, "profiles.ocr.hardware.cpu: no key named 'alphaa' (did you mean 'alpha'?)"),
    ((*OCR, "cpu", "batches"), DELETE, "profiles.ocr.hardware.cpu: the key 'batches' is missing"),
    ((*OCR, "cpu"), 3, "profiles.ocr.hardware.cpu: expected a mapping, got 3"),
    (
        (*OCR, "gpu", "sizes", 1),
        30,
        "profiles.ocr.hardware.gpu.sizes[1]: expected a share of one gpu, in (0, 1], got 30 (30 % is 0.3)",
    ),
    ((*OCR, "tpu"), CPU, "profiles.ocr.hardware: no hardware kind named 'tpu' (did you mean 'gpu'?)"),
    (OCR, {}, "profiles.ocr.hardware: a profile needs at least one kind of hardware, got none"),
    (OCR, [], "profiles.ocr.hardware: expected a mapping, got []"),
    (("profiles", "ocr"), {}, "profiles.ocr: the key 'hardware' is missing"),
    (("profiles", "ocr", "hardwear"), 1, "profiles.ocr: no key named 'hardwear' (did you mean 'hardware'?)"),
    (("profiles", "a.b"), 3, "profiles['a.b']: expected a mapping, got 3"),
    (("profiles",), {}, "profiles: expected at least one profile, got none"),
    (("profiles",), ["ocr"], "profiles: expected a mapping, got ['ocr']"),
    (("profiles",), DELETE, "the key 'profiles' is missing"),
    (("profile",), {}, "no key named 'profile' (did you mean 'profiles'?)"),
    (("prices", "cpu"), -1, "prices.cpu: expected a finite number of at least 0, got -1"),
    (("prices", "cpu"), DELETE, "prices: the key 'cpu' is missing"),
    (("prices", "tpu"), 1, "prices: no key named 'tpu' (did you mean 'gpu'?)"),
    (("prices",), 3, "prices: expected a mapping, got 3"),
]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("path", "value", "message"), WRONG_APPLICATIONS)
def test_a_wrong_application(path: tuple[object, ...], value: object, message: str, format: str) -> None:
    data = render(changed(APPLICATION, path, value), Format(format))
    assert error_of(files.decode_application, data, format, file="app.x") == f"app.x: {message}"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("path", "value", "message"), WRONG_PROFILES)
def test_a_wrong_profile(path: tuple[object, ...], value: object, message: str, format: str) -> None:
    data = render(changed(PROFILES, path, value), Format(format))
    assert error_of(files.decode_profile_file, data, format, file="p.x") == f"p.x: {message}"


@pytest.mark.parametrize(
    ("format", "number", "shown"),
    [
        ("yaml", ".nan", "nan"),
        ("yaml", "-.INF", "-inf"),
        ("yaml", "1e999", "inf"),
        ("yaml", "", "nothing"),
        ("yaml", "1_000", "'1_000'"),
        ("yaml", "1:30", "'1:30'"),
        ("json", "NaN", "nan"),
        ("json", "-Infinity", "-inf"),
        ("json", "1e999", "inf"),
        ("json", "null", "nothing"),
        ("toml", "nan", "nan"),
        ("toml", "-inf", "-inf"),
        ("toml", "2024-05-01", "datetime.date(2024, 5, 1)"),
    ],
)
def test_a_number_that_is_none(format: str, number: str, shown: str) -> None:
    text = {
        "yaml": f"functions: [a]\nsla: {number}",
        "json": f'{{"functions": ["a"], "sla": {number}}}',
        "toml": f'functions = ["a"]\nsla = {number}',
    }[format]
    expected = f"sla: expected a finite number above 0, got {shown}"
    assert error_of(files.decode_application, text.encode(), format) == expected


@pytest.mark.parametrize("document", [[], "text", 3, None])
def test_a_document_that_is_no_mapping(document: object) -> None:
    data = json.dumps(document).encode()
    for format in ("json", "yaml"):
        for decode in (files.decode_application, files.decode_profile_file):
            assert error_of(decode, data, format).startswith("expected a mapping, got ")


def test_a_format_that_is_none() -> None:
    expected = "format: no format named 'xml' (known: yaml, json, toml)"
    assert error_of(files.decode_application, b"", "xml") == expected


# -- anything at all -----------------------------------------------------------------------------------------

DECODERS = [files.decode_application, files.decode_profile_file]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def decode_anything(decode: Any, data: bytes, format: str) -> None:
    """Decode: the only error allowed is an invalid input, in one line that begins with the file."""
    message = "x: "
    try:
        decode(data, format, file="x")
    except InvalidInputError as error:
        message = str(error)
    assert message.startswith("x: ")
    assert message.isprintable()
    assert len(message) < 2000


@given(st.sampled_from(DECODERS), st.sampled_from(FORMATS), st.binary(max_size=200))
def test_any_bytes(decode: Any, format: str, data: bytes) -> None:
    decode_anything(decode, data, format)


@given(
    st.sampled_from(DECODERS),
    st.sampled_from(FORMATS),
    st.text("{}[]()&*!|>%@`'\"#,:-? \n\t\r=.0e1ax~<\\", max_size=80),
)
def test_any_text_of_the_marks_that_mean_something(decode: Any, format: str, text: str) -> None:
    decode_anything(decode, text.encode(), format)


@given(st.sampled_from(FORMATS), st.data())
def test_any_bytes_within_a_good_file(format: str, data: st.DataObject) -> None:
    decode, document = data.draw(st.sampled_from([(DECODERS[0], APPLICATION), (DECODERS[1], PROFILES)]))
    good = render(document, Format(format))
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 20)))
    decode_anything(decode, good[:start] + data.draw(st.binary(max_size=10)) + good[end:], format)


@given(values, st.data())
def test_any_value_at_any_place_of_a_good_file(value: object, data: st.DataObject) -> None:
    decode, document = data.draw(st.sampled_from([(DECODERS[0], APPLICATION), (DECODERS[1], PROFILES)]))
    path: list[object] = []
    here: Any = document
    while isinstance(here, dict | list) and here and data.draw(st.booleans() if path else st.just(True)):
        key = data.draw(st.sampled_from(list(here) if isinstance(here, dict) else list(range(len(here)))))
        path.append(key)
        here = here[key]
    mutant = json.dumps(changed(document, tuple(path), value)).encode()
    decode_anything(decode, mutant, "json")


@pytest.mark.parametrize("format", FORMATS)
def test_every_truncation_is_an_error_or_a_shorter_document(format: str) -> None:
    data = render(PROFILES, Format(format))
    for length in range(len(data)):
        decode_anything(files.decode_profile_file, data[:length], format)
