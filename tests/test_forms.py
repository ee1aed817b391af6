"""Widgets made from dials: of the right kind, with the right range, and linked to the address."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def script() -> None:
    import dataclasses
    from dataclasses import dataclass

    import streamlit as st

    from aecore.dials import Config, dial
    from pages.ui import forms

    @dataclass(frozen=True, kw_only=True)
    class Oven(Config):
        heat: int = dial(180, low=50, high=250, unit="°C", help="How hot.")
        shelf: int = dial(2, low=1, high=4, help="Which shelf.")
        mode: str = dial("fan", choices={"fan": "Fan", "grill": "Grill"}, help="What heats.")
        wood: str = dial("oak", choices={"oak": "Oak from a forest", "ash": "Ash from a garden"}, help="Which wood.")
        time: float = dial(0.5, low=0, high=3, help="How long.")
        light: bool = dial(True, help="Whether the lamp is on.")
        flame: int = dial(1, low=1, high=9, when={"mode": ("grill",)}, help="How much flame.")

    # a class made inside a script keeps its field types as objects; the dials want their names
    for field in dataclasses.fields(Oven):
        field.type = field.type if isinstance(field.type, str) else field.type.__name__
    forms.dial_widgets(Oven, Oven.dials())
    st.json(forms.read(Oven))
    st.button("reset", on_click=forms.fill, args=(Oven, {"shelf": 3}), key="reset")


def test_kinds_ranges_and_units() -> None:
    at = AppTest.from_function(script, default_timeout=30).run()
    assert not at.exception
    heat = at.number_input(key="heat")
    assert (heat.min, heat.max, heat.value, heat.label, heat.help) == (50, 250, 180, "Heat (°C)", "How hot.")
    assert (at.slider(key="shelf").min, at.slider(key="shelf").max) == (1, 4)
    assert at.get_by_key("mode").options == ["Fan", "Grill"]
    assert at.selectbox(key="wood").options == ["Oak from a forest", "Ash from a garden"]
    assert at.number_input(key="time").value == 0.5
    assert (at.toggle(key="light").value, at.toggle(key="light").help) == (True, "Whether the lamp is on.")


def test_a_dial_appears_when_it_matters() -> None:
    at = AppTest.from_function(script, default_timeout=30).run()
    assert "flame" not in {slider.key for slider in at.slider}
    at.get_by_key("mode").set_value("grill").run()
    assert "flame" in {slider.key for slider in at.slider}


def test_a_link_may_name_a_choice_as_the_command_line_does() -> None:
    at = AppTest.from_function(script, default_timeout=30)
    at.query_params["wood"] = "ash"
    at.run()
    assert at.selectbox(key="wood").value == "ash"


def test_filling_sets_what_is_named_and_resets_the_rest() -> None:
    at = AppTest.from_function(script, default_timeout=30).run()
    at.number_input(key="heat").set_value(99).run()
    at.button(key="reset").click().run()
    assert at.number_input(key="heat").value == 180
    assert at.slider(key="shelf").value == 3
