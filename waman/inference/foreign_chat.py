"""The chat form of models that were not made here: the Jinja template that comes with their tokenizer."""

from collections.abc import Sequence
from typing import NoReturn

from waman.errors import PromptError
from waman.tokens.chat import Turn
from waman.tokens.tokenizer import Tokenizer


def render_foreign_prompt(tokenizer: Tokenizer, turns: Sequence[Turn]) -> list[int]:
    """Token ids of a conversation that waits for an answer, as transformers renders them.

    The rendered text spells the special tokens, so a user's text that spells one forges it.
    Raises PromptError where the template refuses the conversation or cannot be rendered.
    """
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    assert tokenizer.chat_template is not None
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    try:
        template = environment.from_string(tokenizer.chat_template)
        rendered = template.render(messages=messages, add_generation_prompt=True, **tokenizer.special_names)
    except jinja2.TemplateError as error:
        raise PromptError(
            f"the model's chat template cannot render this conversation: {error}; `waman generate` needs no template"
        ) from error
    return tokenizer.encode_marked(rendered)


def _refuse(message: str) -> NoReturn:
    raise PromptError(
        f"the model's chat template refuses this conversation: {message}; "
        "write its turns as the template asks, or use `waman generate`"
    )
