"""Marks of emphasis are taken away; underscores within a name are no marks."""

from __future__ import annotations

import pytest

from app.quality.text.sentences import plain, unmarked


@pytest.mark.parametrize(
    ("markdown", "prose"),
    [
        ("It is _urgent_, **very** and `now`.", "It is urgent, very and now."),
        ("__All__ of it (_all_).", "All of it (all)."),
        ("notes_v2_final_final.docx is the file.", "notes_v2_final_final.docx is the file."),
        ("The _release_notes_ say so.", "The release_notes say so."),
    ],
)
def test_names_keep_their_underscores(markdown: str, prose: str) -> None:
    assert unmarked(markdown) == prose
    assert plain(markdown) == prose
