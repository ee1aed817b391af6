"""Configurations refuse what does not fit, say what would, and survive the way to JSON and back."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aecore.dials import Config, Dial, dial, part
from aecore.errors import AecoreError, ConfigError
from aecore.models import UPSAMPLERS, ModelConfig
from aecore.noise import CORRUPTIONS, NoiseConfig
from aecore.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Oven(Config):
    """A configuration with one dial of every kind."""

    rack: tuple[int, int] = (1, 2)
    heat: int = dial(180, help="How hot.", low=50, high=250, unit="°C")
    salt: float = dial(0.5, help="How salty.", label="Pinches of salt", low=0)
    mode: str = dial("top", help="Where from.", choices={"top": "Top heat", "fan": "Moving air"})
    fan_speed: int = dial(3, help="How windy.", high=9, when={"mode": ("fan",)}, advanced=True)
    light: bool = dial(False, help="Whether one can see inside.")
    angle: float = dial(0.0, help="How slanted.")


def test_values_inside_their_range_are_kept() -> None:
    oven = Oven(heat=50, salt=3, mode="fan", fan_speed=-7, light=True, angle=-1e300)
    assert (oven.heat, oven.salt, oven.mode, oven.fan_speed, oven.light) == (50, 3, "fan", -7, True)
    assert Oven(heat=250).heat == 250, "both ends of a range belong to it"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"heat": 49}, ["heat is 49", "from 50 to 250 °C"]),
        ({"heat": 251}, ["heat is 251", "from 50 to 250 °C"]),
        ({"heat": 10**400}, ["heat is 1", "from 50 to 250 °C"]),
        ({"heat": 180.0}, ["heat is 180.0", "type int"]),
        ({"heat": True}, ["heat is True", "type int"]),
        ({"heat": "180"}, ["heat is '180'", "type int"]),
        ({"heat": None}, ["heat is None", "type int"]),
        ({"salt": -0.1}, ["salt is -0.1", "at least 0"]),
        ({"salt": math.nan}, ["salt is nan", "at least 0"]),
        ({"salt": math.inf}, ["salt is inf", "at least 0"]),
        ({"salt": False}, ["salt is False", "type float"]),
        ({"fan_speed": 10}, ["fan_speed is 10", "at most 9"]),
        ({"angle": math.nan}, ["angle is nan", "finite number"]),
        ({"light": 1}, ["light is 1", "type bool"]),
        ({"mode": "fam"}, ["mode is 'fam'", "top, fan", "Did you mean fan?"]),
        ({"mode": "zzz"}, ["mode is 'zzz'", "top, fan"]),
        ({"mode": ["fan"]}, ["mode is ['fan']", "top, fan"]),
        ({"mode": None}, ["mode is None", "top, fan"]),
    ],
)
def test_other_values_are_refused_with_what_would_fit(bad: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        Oven(**bad)
    assert [word for word in words if word not in str(refused.value)] == []
    assert isinstance(refused.value, AecoreError)


def test_no_guess_where_nothing_is_close() -> None:
    with pytest.raises(ConfigError) as refused:
        Oven(mode="microwave")
    assert "Did you mean" not in str(refused.value)


def test_a_configuration_is_checked_again_when_it_is_changed() -> None:
    with pytest.raises(ConfigError):
        dataclasses.replace(Oven(), heat=1000)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Oven().heat = 100  # type: ignore[misc]


def test_dials_are_listed_in_order_with_their_labels() -> None:
    dials = Oven.dials()
    assert list(dials) == ["heat", "salt", "mode", "fan_speed", "light", "angle"], "rack is no dial"
    assert [dials["salt"].label, dials["fan_speed"].label] == ["Pinches of salt", "Fan speed"]
    assert dials["heat"] == Dial(help="How hot.", label="Heat", low=50, high=250, unit="°C")


def test_defaults_can_be_asked_for() -> None:
    assert (Oven.default("heat"), Oven.default("rack")) == (180, (1, 2))


def test_a_dial_matters_only_under_its_condition() -> None:
    assert not Oven(mode="top").matters("fan_speed")
    assert Oven(mode="fan").matters("fan_speed")
    assert Oven(mode="top").matters("heat")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"heatt": 1}, ["Oven", "'heatt'", "rack, heat, salt", "Did you mean heat?"]),
        ({"heat": 1}, ["heat is 1", "from 50 to 250"]),
        ({"mode": {}}, ["mode is {}", "top, fan"]),
        ({"mode": [[]]}, ["mode is", "top, fan"]),
    ],
)
def test_dicts_that_are_no_configuration_are_refused(values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        Oven.from_dict(values)
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_field_without_a_default_must_be_given() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Bread(Config):
        """A configuration that needs to be told something."""

        flour: str
        hours: int = dial(1, help="How long.")

    assert Bread.from_dict({"flour": "rye"}) == Bread(flour="rye", hours=1)
    with pytest.raises(ConfigError, match="Bread needs a value for 'flour'"):
        Bread.from_dict({"hours": 2})


@given(
    heat=st.integers(50, 250),
    salt=st.floats(0, 1e300),
    mode=st.sampled_from(["top", "fan"]),
    rack=st.tuples(st.integers(), st.integers()),
    light=st.booleans(),
)
def test_json_and_back_gives_an_equal_configuration(**values: object) -> None:
    oven = Oven(**values)
    assert Oven.from_dict(json.loads(json.dumps(oven.to_dict()))) == oven


# -- configurations inside configurations ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Kitchen(Config):
    """A configuration with another one as a part."""

    cooks: int = dial(2, help="How many cooks.", low=1)
    oven: Oven = part(Oven(heat=100))  # noqa: RUF009 - makes a field, as dial does


def test_a_part_is_a_configuration_and_no_dial() -> None:
    assert Kitchen().oven == Kitchen.default("oven") == Oven(heat=100)
    assert list(Kitchen.dials()) == ["cooks"]
    assert Kitchen(oven=Oven(mode="fan")).oven.mode == "fan"


@given(cooks=st.integers(1, 9), heat=st.integers(50, 250), rack=st.tuples(st.integers(), st.integers()))
def test_parts_survive_json(cooks: int, heat: int, rack: tuple[int, int]) -> None:
    kitchen = Kitchen(cooks=cooks, oven=Oven(heat=heat, rack=rack))
    restored = Kitchen.from_dict(json.loads(json.dumps(kitchen.to_dict())))
    assert restored == kitchen
    assert isinstance(restored.oven, Oven)
    assert hash(restored) == hash(kitchen)


def test_a_part_that_is_not_told_takes_its_default() -> None:
    assert Kitchen.from_dict({"cooks": 3}) == Kitchen(cooks=3)
    assert Kitchen.from_dict({"oven": {"salt": 1.5}}).oven == Oven(salt=1.5), "told in part: the part's own defaults"
    assert Kitchen.from_dict({"oven": Oven(light=True)}) == Kitchen(oven=Oven(light=True))


@pytest.mark.parametrize("wrong", ["hot", None, 180, {"heat": 180}, Kitchen(), Oven])
def test_a_part_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError) as refused:
        Kitchen(oven=wrong)
    assert "oven is" in str(refused.value)
    assert "expected a Oven" in str(refused.value)


@pytest.mark.parametrize(
    ("oven", "words"),
    [
        ({"heat": 49}, ["heat is 49", "from 50 to 250"]),
        ({"heatt": 60}, ["Oven", "'heatt'", "Did you mean heat?"]),
        ("hot", ["oven is 'hot'", "Oven"]),
        (None, ["oven is None", "Oven"]),
        ([1, 2], ["oven is (1, 2)", "Oven"]),
    ],
)
def test_dicts_with_a_part_that_does_not_fit_are_refused(oven: object, words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        Kitchen.from_dict({"oven": oven})
    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_training_with_noise_survives_json(corruption: str) -> None:
    noise = NoiseConfig(corruption=corruption, strength=CORRUPTIONS[corruption].levels[0], weakest=0.5, clip=False)
    config = TrainConfig(budget=7, noise=noise)
    restored = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert restored == config
    assert restored.noise == noise
    assert hash(restored) == hash(config)
    assert restored != TrainConfig(budget=7)


def test_trainings_written_before_there_was_noise_can_be_read() -> None:
    older = {name: value for name, value in TrainConfig(budget=7).to_dict().items() if name != "noise"}
    assert len(older) == len(TrainConfig.dials()), "without noise all fields are dials"
    assert TrainConfig.from_dict(json.loads(json.dumps(older))) == TrainConfig(budget=7)
    assert not TrainConfig.from_dict(older).noise.on


@pytest.mark.parametrize("wrong", ["gaussian", None, 0.3, {"corruption": "gaussian"}, TrainConfig()])
def test_noise_has_to_be_a_configuration_of_noise(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"noise is .*expected a NoiseConfig"):
        TrainConfig(noise=wrong)


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        ("gaussian", ["noise is 'gaussian'", "NoiseConfig"]),
        ({"corruption": "gausian"}, ["corruption is 'gausian'", "Did you mean gaussian?"]),
        ({"corruption": "gaussian", "strength": 1.5}, ["strength 1.5", "0 to 1 of white"]),
        ({"sigma": 1}, ["NoiseConfig", "'sigma'"]),
    ],
)
def test_trainings_with_noise_that_does_not_fit_are_refused(noise: object, words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        TrainConfig.from_dict({"noise": noise})
    assert [word for word in words if word not in str(refused.value)] == []


def needed(config: type[Config], name: str, choice: str) -> dict[str, str]:
    """What else has to be chosen for a choice to be allowed."""
    part = UPSAMPLERS.get(choice) if (config, name) == (ModelConfig, "upsample") else None
    return {other: allowed[0] for other, allowed in part.needs.items()} if part else {}


@pytest.mark.parametrize("config", [ModelConfig, TrainConfig, NoiseConfig])
class TestEveryConfiguration:
    """What forms, command line and documents rely on."""

    def test_missing_fields_take_their_defaults(self, config: type[Config]) -> None:
        assert config.from_dict({}) == config()

    def test_its_dials_say_what_they_do(self, config: type[Config]) -> None:
        for name, about in config.dials().items():
            assert about.help.endswith("."), f"{name}: help is a sentence"
            assert about.label, name

    def test_its_ranges_hold_to_their_ends(self, config: type[Config]) -> None:
        for name, about in config.dials().items():
            if about.choices:
                for choice in about.choices:
                    assert getattr(config(**{name: choice, **needed(config, name, choice)}), name) == choice
            for end, beyond in ((about.low, -1), (about.high, 1)):
                if end is not None:
                    kind = type(config.default(name))
                    assert getattr(config(**{name: kind(end)}), name) == end
                    with pytest.raises(ConfigError, match=f"{name} is"):
                        config(**{name: kind(end + beyond)})

    def test_its_conditions_name_dials_and_their_choices(self, config: type[Config]) -> None:
        dials = config.dials()
        for name, about in dials.items():
            for other, values in about.when.items():
                assert set(values) <= set(dials[other].choices), f"{name} depends on {other}"
