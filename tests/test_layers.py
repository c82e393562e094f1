"""Imports point down the layers of ARCHITECTURE.md only."""

import ast
from pathlib import Path

import pytest

import crossentropy

ROOT = Path(crossentropy.__file__).parent

# From the top down; what stands in one line may not import each other.
LAYERS = (
    ("__init__", "cli"),
    ("_compare", "_report", "_bench"),
    ("_page",),
    ("calibration", "diagnosis"),
    ("torch",),
    ("scores",),
    ("_tables",),
    ("_fit",),
    ("_predictions", "_config"),
    ("losses",),
    ("elements",),
    ("rows", "measures"),
    ("_progress",),
    ("_cpus", "_errors", "_optional", "_arrays", "_files"),
)
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in ROOT.glob("**/*.py"))


def layer_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """The layers that a file imports from, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")
            if node.level == 0 and module[0] == "crossentropy":
                yield from [module[1]] if module[1:] else [alias.name for alias in node.names]
            elif node.level == 1 and path.parent == ROOT:
                yield from [module[0]] if node.module else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top, _, rest = alias.name.partition(".")
                if top == "crossentropy" and rest:
                    yield rest.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = layer_of(path)
    for other in imported(path):
        if other in DEPTH and other != own:
            assert DEPTH[other] > DEPTH[own], f"{own} imports {other}"


def test_every_module_has_a_layer():
    assert {layer_of(path) for path in FILES} == set(DEPTH)
