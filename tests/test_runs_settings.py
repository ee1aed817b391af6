"""The limits of the queue: from the environment, else from the size of the machine."""

from __future__ import annotations

import pytest

from aecore.errors import ConfigError
from aecore.runs import settings
from aecore.runs.settings import RunSettings, runs_that_fit

VARIABLES = {
    "AECORE_MAX_RUNS": "most_running",
    "AECORE_SESSION_RUNS": "most_per_visitor",
    "AECORE_KEEP_RUNS": "keep",
}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def test_unset_variables_take_their_defaults() -> None:
    assert RunSettings.from_environment() == RunSettings(most_running=runs_that_fit(), most_per_visitor=3, keep=200)


@pytest.mark.parametrize(("variable", "field"), VARIABLES.items())
def test_each_variable_sets_its_limit(variable: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "17")
    assert getattr(RunSettings.from_environment(), field) == 17


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_empty_variable_counts_as_unset(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = RunSettings.from_environment()
    monkeypatch.setenv(variable, "")
    assert RunSettings.from_environment() == expected


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("text", ["0", "-1", "2.5", "many", "²", " "])
def test_anything_else_is_refused_by_name(variable: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError, match=f"{variable} is {text!r}, expected a whole number of at least 1"):
        RunSettings.from_environment()


@pytest.mark.parametrize(
    ("cores", "gigabytes", "runs"),
    [
        (2, 16, 2),  # a Space: cores are scarce
        (16, 4, 3),  # memory is scarce, and one share is for the server
        (4, 1, 1),  # hardly anything: one run, whatever it costs
        (4, None, 4),  # the system does not say how much memory it has
    ],
)
def test_as_many_runs_as_cores_and_memory_allow(
    cores: int, gigabytes: int | None, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "cores", lambda: cores)
    monkeypatch.setattr(settings, "memory", lambda: gigabytes and gigabytes * 2**30)
    assert runs_that_fit() == runs
