"""Which language a text is in, and how sure that is."""

import functools

from py3langid.langid import MODEL_FILE, LanguageIdentifier

MAX_CHARACTERS = 20_000
"""Characters that are looked at: more of them do not change the answer, and cost a second per 7 MB."""


def identify(text: str) -> tuple[str | None, float | None]:
    """ISO 639-1 code of a text's language and its probability, 0 to 1; None where no letter speaks for one.

    The model and its probabilities are langid's (Lui and Baldwin 2012), the same on every run.
    """
    sample = text[:MAX_CHARACTERS]
    if not any(character.isalpha() for character in sample):
        return None, None
    language, confidence = _identifier().classify(sample)
    return str(language), round(float(confidence), 6)


@functools.cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
