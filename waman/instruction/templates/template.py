"""Wordings of a task (Wei et al. 2022, section 2.1): about ten each, some of them turned around."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ANSWER = "{answer}"


@dataclass(frozen=True)
class Template:
    """One wording. Texts name the question's fields and `answer` in braces."""

    prompt: str
    target: str = ANSWER
    """What the model is to say."""
    shows_options: bool = False
    """Whether the options are listed at the end of the prompt."""
    language: str = "en"
    """ISO 639-1 code of the wording."""

    @property
    def turned_around(self) -> bool:
        """Whether it asks for something else than the answer, so that the options do not apply."""
        return self.target != ANSWER

    def render(self, fields: Mapping[str, str], *, answer: str, options: Sequence[str]) -> tuple[str, str]:
        """Prompt and target. Braces inside the fields are text like any other."""
        values = {**fields, "answer": answer}
        prompt = self.prompt.format_map(values)
        if self.shows_options:
            prompt += list_options(options)
        return prompt, self.target.format_map(values)


def list_options(options: Sequence[str]) -> str:
    """FLAN's suffix: the options, one a line, each begun with a dash (google-research/FLAN, `templates.py`)."""
    return "\n\nOPTIONS:" + "".join(f"\n- {option}" for option in options)


def listing(*prompts: str, language: str = "en") -> tuple[Template, ...]:
    """Wordings after which the options are listed."""
    return tuple(Template(prompt, shows_options=True, language=language) for prompt in prompts)


def plain(*prompts: str, language: str = "en") -> tuple[Template, ...]:
    """Wordings without the options."""
    return tuple(Template(prompt, language=language) for prompt in prompts)


def turned(*pairs: tuple[str, str], language: str = "en") -> tuple[Template, ...]:
    """Wordings that are turned around: prompt and target."""
    return tuple(Template(prompt, target, language=language) for prompt, target in pairs)
