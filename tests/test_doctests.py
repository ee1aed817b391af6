"""The examples in docstrings give the results they show."""

import doctest
import importlib
import pkgutil

import pytest

import aecore

EXAMPLES = {
    test.name: test
    for found in pkgutil.walk_packages(aecore.__path__, "aecore.")
    for test in doctest.DocTestFinder().find(importlib.import_module(found.name))
    if test.examples
}


def test_there_are_examples_where_people_begin() -> None:
    begin = {"aecore.models.config.ModelConfig", "aecore.training.config.TrainConfig", "aecore.export.pytorch_code"}
    assert begin <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_shows(name: str) -> None:
    said: list[str] = []
    result = doctest.DocTestRunner().run(EXAMPLES[name], out=said.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(said)
