"""The scripts and styles that run in the browser, as text for `st.components.v2.component`.

There is no bundler: a component's script is the files it needs, one after the other, the last of which has the
`export default`. This module knows nothing of the components.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
LOGO = FOLDER / "logo.svg"


def source(*names: str) -> str:
    """The named files' text, in order, as one script or style sheet.

    Example:
        >>> "export default" in source("engine.js", "toy.js")
        True
    """
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
