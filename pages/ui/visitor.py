"""Who is looking: a random name that a browser keeps, so that a reload does not lose one's runs.

The name is made here, kept by the browser as a cookie, and comes back with its next connection. Whoever has the
name may steer the runs made under it; links to a run do not carry it. This module knows nothing of runs.
"""

from __future__ import annotations

import secrets

import streamlit as st

COOKIE = "aecore_visitor"
_KEY = "visitor"

_KEEPER = st.components.v2.component(
    "visitor_keeper",
    js=f"""
export default function ({{ data }}) {{
  // In a Space the lab is a frame in a foreign page: there, only a partitioned cookie is kept.
  const place = location.protocol === "https:" ? "SameSite=None; Secure; Partitioned" : "SameSite=Lax"
  document.cookie = `{COOKIE}=${{data.visitor}}; Path=/; Max-Age=31536000; ${{place}}`
}}
""",
)


def visitor() -> str:
    """The name of this visitor: the one the browser brought, or a new one it is asked to keep.

    Call it once in every run of a page, where nothing is to be seen.
    """
    if _KEY not in st.session_state:
        brought = st.context.cookies.to_dict().get(COOKIE, "")
        known = len(brought) == 32 and all(character in "0123456789abcdef" for character in brought)
        st.session_state[_KEY] = brought if known else secrets.token_hex(16)
    name = str(st.session_state[_KEY])
    _KEEPER(key="visitor_keeper", data={"visitor": name}, height=1)
    return name
