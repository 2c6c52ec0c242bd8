"""What language a text is in, by its script and its commonest words: enough to know what must not be judged.

Checks that look for English wording say "not judged" of a text in another language. A text that is in no language we
know the common words of counts as English, so that gibberish gets what it deserves.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass

from app.quality.text.sentences import words

_SAMPLE = 20_000
"""Characters that are looked at."""
_FEWEST_WORDS = 12
_COMMON = {
    "English": "the of and to in is that it for was on are with as be this have from or by not you we",
    "German": "der die das und ist nicht ein eine mit für auf den dem des sich zu von im auch wir sie wird bei",
    "French": "le la les des et est une dans que pour qui sur pas avec nous vous du au ce sont par plus",
    "Spanish": "el la los las que y es una por con para no se del como más su al lo está son",
    "Italian": "il di che e la per un è non con una si da del della sono più gli nel come anche",
    "Portuguese": "o que e do da em um para é com não uma os no se na por mais as dos como",
    "Dutch": "de het een en van is dat niet te zijn met voor op die aan ook als er maar wordt bij",
    "Swedish": "och att det som en på är av för med den till inte ett han om vi kan har",
    "Danish": "og at det er en på til af for den med ikke der som et vi kan har fra",
    "Polish": "i w nie na się z do to że jest jak o za po ale od są przez dla czy",
    "Czech": "a se v na je že to s z do pro jako by ale jsou jsem není který jeho také",
    "Turkish": "ve bir bu için da de ile olarak daha çok ne gibi var olan kadar sonra ama her",
    "Finnish": "ja on ei se että oli hän mutta kun niin ovat myös tai joka mitä kuin sen ole",
    "Hungarian": "a az és hogy nem is egy van meg csak de ez volt el már mint ha vagy azt",
    "Romanian": "și de în a la nu o să că este pe cu un din mai se pentru care sunt ce",
    "Indonesian": "yang dan di itu dengan untuk tidak ini dari dalam akan pada ke adalah juga saya ada",
    "Vietnamese": "và là của có không cho một được trong với các để người này đã khi những tôi",
}
_WORDS = {language: frozenset(said.split()) for language, said in _COMMON.items()}
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


@dataclass(frozen=True)
class Language:
    """The language of a text, or its script where that says enough."""

    name: str
    is_english: bool
    is_spaced: bool = True
    """Its words stand apart, so that they can be counted."""


ENGLISH = Language("English", is_english=True)


def language_of(text: str) -> Language:
    """The language that most of the beginning of a text is in."""
    sample = text[:_SAMPLE]
    script = _script(sample)
    if script not in {"LATIN", ""}:
        return Language(f"{script.capitalize()} script", is_english=False, is_spaced=script not in _UNSPACED)
    spoken = words(sample)
    if len(spoken) < _FEWEST_WORDS:
        return ENGLISH
    uses = {language: sum(word in common for word in spoken) for language, common in _WORDS.items()}
    best = max(uses, key=lambda language: uses[language])
    sure = uses[best] >= 0.12 * len(spoken) and uses[best] > 1.4 * uses["English"]
    return Language(best, is_english=False) if sure else ENGLISH


def _script(sample: str) -> str:
    """The script of most letters, as Unicode names it; empty if there are no letters."""
    scripts = Counter(
        unicodedata.name(sign, "").partition(" ")[0].partition("-")[0]
        for sign in sample[:4000]
        if sign.isalpha()
    )
    return scripts.most_common(1)[0][0] if scripts else ""
