"""Configurations whose fields describe themselves, so that forms, command line and docs can be derived.

A configuration is a frozen, keyword-only dataclass that inherits from `Config`. Each field a person may turn is
made with `dial(...)`: default, range or choices, help text and the condition under which it matters. Everything
is checked once, when the object is made. This module knows nothing of what the dials are for.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from aecore.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Dial:
    """What a form, an option or a page of documentation needs to know about one field.

    Attributes:
        help: One sentence for people: what turning it does.
        label: Short name for a form.
        low: Smallest value allowed, inclusive.
        high: Largest value allowed, inclusive.
        choices: Allowed values with their titles, in the order to show; empty for numbers.
        scale: Whether equal steps of a slider should be equal differences or equal ratios.
        unit: Unit of the number, empty if it has none.
        when: The dial matters only while each named field has one of the listed values.
        advanced: Whether a form should fold it away.
    """

    help: str
    label: str
    low: float | None = None
    high: float | None = None
    choices: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scale: Literal["linear", "log"] = "linear"
    unit: str = ""
    when: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    advanced: bool = False

    def check(self, name: str, value: object, kind: type) -> None:
        """Raise `ConfigError` unless `value` is of type `kind` and inside this dial's range or choices."""
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                raise ConfigError(
                    f"{name} is {value!r}, expected one of {', '.join(self.choices)}.{nearest(value, self.choices)}"
                )
            return
        number_types: tuple[type, ...] = (int, float) if kind is float else (kind,)
        if not isinstance(value, number_types) or isinstance(value, bool) is not (kind is bool):
            raise ConfigError(f"{name} is {value!r}, expected a value of type {kind.__name__}.")
        if isinstance(value, int | float) and kind is not bool:
            below = self.low is not None and value < self.low
            above = self.high is not None and value > self.high
            if below or above or (isinstance(value, float) and not math.isfinite(value)):
                raise ConfigError(f"{name} is {value}, expected {self.range_text()}.")

    def range_text(self) -> str:
        """The allowed range in words, such as 'a number from 1 to 256'."""
        unit = f" {self.unit}" if self.unit else ""
        if self.low is not None and self.high is not None:
            return f"a number from {self.low:,} to {self.high:,}{unit}"
        if self.low is not None:
            return f"a number of at least {self.low:,}{unit}"
        if self.high is not None:
            return f"a number of at most {self.high:,}{unit}"
        return "a finite number"


def nearest(value: object, known: Mapping[str, object]) -> str:
    """' Did you mean ...?' for a misspelt name, or an empty string when nothing is close."""
    close = difflib.get_close_matches(str(value), list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def dial(default: Any, *, help: str, **about: Any) -> Any:
    """Make a dataclass field with a `Dial` beside it.

    Args:
        default: The value when nothing is said.
        help: One sentence for people.
        **about: The other attributes of `Dial`; `label` defaults to the field's name in words.

    Example:
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Oven(Config):
        ...     heat: int = dial(180, help="How hot it gets.", low=50, high=250, unit="°C")
        >>> Oven(heat=200).heat
        200
    """
    about.setdefault("label", "")
    return dataclasses.field(default=default, metadata={"dial": Dial(help=help, **about)})


def part(default: Any) -> Any:
    """Make a dataclass field that is a configuration of its own, of the default's type."""
    return dataclasses.field(default=default, metadata={"part": type(default)})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of the configurations: checked when made, compared by value, round trip through plain dicts.

    A field may be a configuration itself, made with `part(...)`.
    """

    def __post_init__(self) -> None:
        """Check every dial; subclasses with rules between fields extend this."""
        kinds = {"int": int, "float": float, "str": str, "bool": bool}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if "dial" in field.metadata:
                field.metadata["dial"].check(field.name, value, kinds[str(field.type)])
            elif (kind := field.metadata.get("part")) and not isinstance(value, kind):
                raise ConfigError(f"{field.name} is {value!r}, expected a {kind.__name__}.")

    @classmethod
    def dials(cls) -> dict[str, Dial]:
        """Every dial of this configuration by field name, labels filled in, in the order of the fields."""
        described = {}
        for field in dataclasses.fields(cls):
            if "dial" in field.metadata:
                about: Dial = field.metadata["dial"]
                label = about.label or field.name.replace("_", " ").capitalize()
                described[field.name] = dataclasses.replace(about, label=label)
        return described

    @classmethod
    def default(cls, name: str) -> Any:
        """The default value of one field."""
        return next(field.default for field in dataclasses.fields(cls) if field.name == name)

    def matters(self, name: str) -> bool:
        """Whether the dial `name` has any effect, given the values of the others."""
        conditions = self.dials()[name].when.items()
        return all(getattr(self, other) in values for other, values in conditions)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready values; `from_dict` makes an equal object of it."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value.to_dict() if isinstance(value, Config) else value
            for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a configuration from `to_dict`'s result; missing fields take their defaults.

        Raises:
            ConfigError: For a field this configuration does not have, or a value it does not allow.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = [name for name in values if name not in fields]
        if unknown:
            raise ConfigError(
                f"{cls.__name__} has no field {unknown[0]!r}; its fields are {', '.join(fields)}."
                f"{nearest(unknown[0], fields)}"
            )
        required = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in values]
        if required:
            raise ConfigError(f"{cls.__name__} needs a value for {required[0]!r}.")
        made: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        for name, value in made.items():
            kind: type[Config] | None = fields[name].metadata.get("part")
            if kind is not None and isinstance(value, Mapping):
                made[name] = kind.from_dict(value)
        return cls(**made)
