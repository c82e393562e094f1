"""The examples of the guides run, and print what they say."""

import doctest
from pathlib import Path

import pytest

GUIDES = sorted(
    path
    for path in (Path(__file__).parent.parent / "docs").glob("*.md")
    if ">>>" in path.read_text()
)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_examples(guide):
    failed, attempted = doctest.testfile(str(guide), module_relative=False, encoding="utf-8")
    assert attempted > 0
    assert failed == 0


def test_there_are_guides_with_examples():
    assert "cross-entropy.md" in {path.name for path in GUIDES}
