"""The three-question check of the Operations page.

This module knows nothing of how questions and answers come about.
"""

from __future__ import annotations

import streamlit as st

from aecore.ops.quiz import questions
from aecore.ops.setting import Case

_ROUND = "operations_round"


def quiz(case: Case) -> None:
    """Ask three questions about a neighbour of what is on the bench, and say why an answer is right or wrong."""
    number = st.session_state.setdefault(_ROUND, 0)
    st.subheader("Check yourself", anchor=False)
    st.caption("Three questions made from the setting above. Change it, and they change.")
    right = 0
    asked = questions(case, number)
    for column, (index, question) in zip(st.columns(3, gap="medium"), enumerate(asked), strict=True):
        with column:
            st.markdown(f"**{index + 1}.** {question.text}")
            answers = {answer.text: answer for answer in question.answers}
            # the key holds the question: another question begins unanswered
            chosen = st.radio(
                question.text,
                list(answers),
                index=None,
                key=f"quiz_{index}_{hash((question, number))}",
                label_visibility="collapsed",
            )
            if chosen is None:
                continue
            answer = answers[chosen]
            right += answer.right
            if answer.right:
                st.success(answer.reason, icon=":material/check:")
            else:
                st.info(answer.reason, icon=":material/lightbulb:")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Ask others", icon=":material/refresh:", key="ask_others", on_click=_next_round)
        if right == len(asked):
            st.markdown("**All three right.**")


def _next_round() -> None:
    st.session_state[_ROUND] += 1
