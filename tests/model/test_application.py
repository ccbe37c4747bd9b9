"""Applications: the graph, its derived orders, and everything that is refused."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.errors import InvalidInputError
from smiless_core.model import Application, Function

Edges = tuple[tuple[str, str], ...]


@st.composite
def applications(draw: st.DrawFn) -> Application:
    """Draw applications whose indices need not follow their edges."""
    count = draw(st.integers(1, 8))
    rank = draw(st.permutations(range(count)))
    pairs = [(a, b) for a in range(count) for b in range(count) if rank[a] < rank[b]]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    functions = tuple(Function(f"f{index}", "p") for index in range(count))
    return Application(functions, tuple((f"f{a}", f"f{b}") for a, b in chosen), sla=1.0)


def application(names: str, edges: Edges | list[object] = (), **fields: object) -> Application:
    functions = tuple(Function(name, name) for name in names)
    return Application(functions, edges, **{"sla": 1.0, **fields})


@given(applications())
def test_neighbors_are_the_edges_by_index(app: Application) -> None:
    assert app.names == tuple(function.name for function in app.functions)
    assert [app.names[app.index[name]] for name in app.names] == list(app.names)
    pairs = sorted((app.index[source], app.index[target]) for source, target in app.edges)
    assert sorted((a, b) for b, before in enumerate(app.predecessors) for a in before) == pairs
    assert sorted((a, b) for a, after in enumerate(app.successors) for b in after) == pairs
    assert sorted(map(tuple, app.edge_array.tolist())) == pairs
    assert app.sources == tuple(v for v in range(len(app.names)) if v not in {b for _, b in pairs})
    assert app.sinks == tuple(v for v in range(len(app.names)) if v not in {a for a, _ in pairs})


@given(applications())
def test_the_order_always_takes_the_smallest_index_that_is_free(app: Application) -> None:
    done: list[int] = []
    for index in app.order:
        free = [v for v in range(len(app.names)) if v not in done and set(app.predecessors[v]) <= set(done)]
        assert index == min(free)
        done.append(index)
    assert len(done) == len(app.names)


def test_the_edge_array_is_read_only_int32_even_without_edges() -> None:
    for app, rows in (
        (application("abc", [("a", "c"), ("b", "c")]), [[0, 2], [1, 2]]),
        (application("a"), []),
    ):
        assert app.edge_array.dtype == np.int32
        assert app.edge_array.shape == (len(rows), 2)
        assert app.edge_array.tolist() == rows
        assert not app.edge_array.flags.writeable


@given(applications(), st.data())
def test_an_edge_back_along_a_path_closes_a_cycle_that_the_error_names(app: Application, data: st.DataObject) -> None:
    reachable = [(a, b) for a in range(len(app.names)) for b in below(app, a)]
    if not reachable:
        return
    start, end = data.draw(st.sampled_from(reachable))
    with pytest.raises(InvalidInputError) as caught:
        app.replace(edges=(*app.edges, (app.names[end], app.names[start])))
    assert caught.value.place == "edges"
    cycle = caught.value.message.removeprefix("the edges close a cycle: ").split(" -> ")
    assert cycle[0] == cycle[-1]
    assert len(cycle) == len(set(cycle)) + 1
    edges = {*app.edges, (app.names[end], app.names[start])}
    assert all(pair in edges for pair in pairwise(cycle))


def below(app: Application, index: int) -> set[int]:
    found: set[int] = set()
    todo = [index]
    while todo:
        for after in app.successors[todo.pop()]:
            if after not in found:
                found.add(after)
                todo.append(after)
    return found


def test_a_thousand_functions_in_a_chain() -> None:
    app = Application.chain(*(f"f{index}" for index in range(1000)), sla=1.0)
    assert app.order == tuple(range(1000))
    with pytest.raises(InvalidInputError, match=r"f999 -> f0$|f0 -> f1 -> "):
        app.replace(edges=(*app.edges, ("f999", "f0")))


def test_a_chain_uses_names_as_profiles_unless_told() -> None:
    app = Application.chain("detect", Function("read", "ocr"), "say", sla=2, name="street")
    assert [(function.name, function.profile) for function in app.functions] == [
        ("detect", "detect"),
        ("read", "ocr"),
        ("say", "say"),
    ]
    assert app.edges == (("detect", "read"), ("read", "say"))
    assert (app.sla, app.attainment_target, app.name) == (2.0, 0.99, "street")
    assert Application.chain("alone", sla=1).edges == ()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: application(""), "functions: an application needs at least one function, got none"),
        (lambda: Application.chain(sla=1), "functions: an application needs at least one function, got none"),
        (lambda: application("aba"), "functions[2].name: the name 'a' is taken by functions[0]"),
        (
            lambda: Application.chain("a", "a", sla=1),
            "functions[1].name: the name 'a' is taken by functions[0]",
        ),
        (lambda: Application.chain("a", 3, sla=1), "functions[1]: expected a Function, got 3"),
        (lambda: Application("ab", sla=1), "functions: expected a list, got 'ab'"),
        (
            lambda: Application.chain("detect", "say", sla=1).replace(edges=[("say", "detection")]),
            "edges[0]: no function named 'detection' (did you mean 'detect'?)",
        ),
        (
            lambda: application("ab", [("a", "b"), ("a", "b")]),
            "edges[1]: the edge from 'a' to 'b' repeats edges[0]",
        ),
        (lambda: application("ab", [("a", "a")]), "edges[0]: function 'a' cannot wait for itself"),
        (lambda: application("ab", [("a", "b"), ("b", "a")]), "edges: the edges close a cycle: a -> b -> a"),
        (lambda: application("ab", ["ab"]), "edges[0]: expected a pair of function names, got 'ab'"),
        (lambda: application("ab", [("a",)]), "edges[0]: expected a pair of function names, got ('a',)"),
        (lambda: application("ab", [("a", 1)]), "edges[0]: expected text, got 1"),
        (lambda: application("ab", None), "edges: expected a list, got nothing"),
        (lambda: application("a", sla=0), "sla: expected a finite number above 0, got 0"),
        (lambda: application("a", sla=-1.5), "sla: expected a finite number above 0, got -1.5"),
        (lambda: application("a", sla=float("nan")), "sla: expected a finite number above 0, got nan"),
        (lambda: application("a", sla=float("inf")), "sla: expected a finite number above 0, got inf"),
        (lambda: application("a", sla=True), "sla: expected a finite number above 0, got True"),
        (lambda: application("a", sla="2"), "sla: expected a finite number above 0, got '2'"),
        (
            lambda: application("a", attainment_target=0),
            "attainment_target: expected a finite number above 0 and of at most 1, got 0",
        ),
        (
            lambda: application("a", attainment_target=99),
            "attainment_target: expected a finite number above 0 and of at most 1, got 99",
        ),
        (lambda: application("a", name=""), "name: expected printable text that is not blank, got ''"),
        (lambda: Function("a", 3), "profile: expected text, got 3"),
        (lambda: Function(" ", "p"), "name: expected printable text that is not blank, got ' '"),
    ],
)
def test_what_is_refused_and_how(build: object, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build()
    assert str(caught.value) == message


@given(applications())
def test_applications_are_values(app: Application) -> None:
    _ = app.order, app.index, app.edge_array  # derived values must not get in the way
    for twin in (pickle.loads(pickle.dumps(app)), copy.copy(app), copy.deepcopy(app)):
        assert twin == app
        assert hash(twin) == hash(app)
        assert twin.order == app.order
    assert app.replace(sla=2.0) != app
    assert app.replace(sla=2.0).replace(sla=app.sla) == app


def test_applications_do_not_change() -> None:
    app = application("ab")
    with pytest.raises(AttributeError):
        app.sla = 2.0
    with pytest.raises(TypeError):
        app.index["a"] = 3
    with pytest.raises(TypeError, match="no field 'slo'"):
        app.replace(slo=1.0)
    with pytest.raises(InvalidInputError, match=r"^sla: "):
        app.replace(sla=-1.0)


def test_lists_are_taken_and_kept_as_tuples() -> None:
    edges: list[object] = [["a", "b"]]
    app = application("ab", edges)
    edges.append(["b", "a"])
    assert app.edges == (("a", "b"),)
    assert isinstance(app.functions, tuple)
