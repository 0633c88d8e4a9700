"""Wordings of the tasks about prose, in English and in Korean."""

from collections.abc import Mapping

from waman.instruction.templates.template import Template, listing, plain, turned

TEMPLATES: Mapping[str, tuple[Template, ...]] = {
    "sentence_in_order": (
        *plain(
            "Are the words of this sentence in the right order? {sentence}",
            "{sentence}\n\nIs this sentence in order?",
            "Yes or no: is this a well-formed sentence? {sentence}",
            "Could one say this? {sentence}",
        ),
        *listing("{sentence}\n\nAre these words in order?"),
        *turned(("Write a sentence. Are its words in order? {answer}", "{sentence}")),
        *plain(
            "이 문장의 낱말은 바른 순서로 놓여 있습니까? {sentence}",
            "{sentence}\n\n이 문장은 순서가 맞습니까?",
            "올바른 문장인지 예 또는 아니요로 답하세요. {sentence}",
            "이렇게 말할 수 있습니까? {sentence}",
            language="ko",
        ),
        *listing("{sentence}\n\n낱말의 순서가 맞습니까?", language="ko"),
        *turned(("문장을 하나 쓰세요. 낱말의 순서가 맞습니까? {answer}", "{sentence}"), language="ko"),
    ),
    "which_in_order": (
        *listing(
            "Which of these sentences has its words in order?",
            "One of these sentences is right, the others are scrambled. Which is it?",
            "Pick the well-formed sentence.",
            "Find the sentence that was not scrambled.",
            "Which of these could one say?",
        ),
        *listing(
            "어느 문장의 낱말이 바른 순서로 놓여 있습니까?",
            "한 문장만 올바르고 나머지는 낱말이 섞였습니다. 어느 것입니까?",
            "올바른 문장을 고르세요.",
            "낱말이 섞이지 않은 문장을 찾으세요.",
            "어느 문장이 자연스럽습니까?",
            language="ko",
        ),
    ),
    "unscramble": (
        *plain(
            "Put the words of this sentence in order: {sentence}",
            "{sentence}\n\nThese words were scrambled. Write the sentence.",
            "What is the sentence? {sentence}",
            "Sort these words into a sentence: {sentence}",
        ),
        *turned(("Scramble the words of this sentence: {answer}", "{sentence}")),
        *plain(
            "이 문장의 낱말을 바른 순서로 놓으세요. {sentence}",
            "{sentence}\n\n낱말이 섞였습니다. 문장을 바르게 쓰세요.",
            "원래 문장은 무엇입니까? {sentence}",
            "이 낱말들로 문장을 만드세요. {sentence}",
            language="ko",
        ),
        *turned(("이 문장의 낱말을 섞으세요. {answer}", "{sentence}"), language="ko"),
    ),
    "next_word": (
        *plain(
            "Which word comes next? {sentence}",
            "{sentence}\n\nHow does this sentence go on? One word.",
            "Go on by one word: {sentence}",
        ),
        *listing("{sentence}\n\nWhich word comes next?", "Choose the next word. {sentence}"),
        *turned(("Begin a sentence that goes on with: {answer}", "{sentence}")),
        *plain(
            "다음에 오는 낱말은 무엇입니까? {sentence}",
            "{sentence}\n\n이 문장을 한 낱말 이어 쓰세요.",
            "다음 낱말을 쓰세요. {sentence}",
            language="ko",
        ),
        *listing("{sentence}\n\n다음 낱말은 어느 것입니까?", "다음 낱말을 고르세요. {sentence}", language="ko"),
        *turned(("다음 낱말로 이어지는 문장을 시작하세요. {answer}", "{sentence}"), language="ko"),
    ),
    "missing_word": (
        *plain(
            "Which word is missing? {sentence}",
            "Fill the gap: {sentence}",
            "{sentence}\n\nWhich word belongs into the gap?",
        ),
        *listing("{sentence}\n\nWhich word fills the gap?", "Choose the missing word. {sentence}"),
        *turned(("Write a sentence with a gap for the word: {answer}", "{sentence}")),
        *plain(
            "빠진 낱말은 무엇입니까? {sentence}",
            "빈칸을 채우세요. {sentence}",
            "{sentence}\n\n빈칸에 들어갈 낱말은 무엇입니까?",
            language="ko",
        ),
        *listing("{sentence}\n\n어느 낱말이 빈칸에 들어갑니까?", "빠진 낱말을 고르세요. {sentence}", language="ko"),
        *turned(("다음 낱말이 들어갈 빈칸이 있는 문장을 쓰세요. {answer}", "{sentence}"), language="ko"),
    ),
    "next_sentence": (
        *plain(
            "Which sentence comes next? {sentence}",
            "{sentence}\n\nGo on by one sentence.",
            "What follows? {sentence}",
        ),
        *listing("{sentence}\n\nWhich sentence follows?"),
        *turned(("What stands before this? {answer}", "{sentence}")),
        *plain(
            "다음에 오는 문장은 무엇입니까? {sentence}",
            "{sentence}\n\n한 문장 이어 쓰세요.",
            "무엇이 뒤따릅니까? {sentence}",
            language="ko",
        ),
        *listing("{sentence}\n\n어느 문장이 뒤따릅니까?", language="ko"),
        *turned(("이 문장 앞에는 무엇이 있습니까? {answer}", "{sentence}"), language="ko"),
    ),
    "previous_sentence": (
        *plain(
            "Which sentence came before? {sentence}",
            "{sentence}\n\nWhat was said before this?",
            "Write the sentence before this one: {sentence}",
        ),
        *listing("{sentence}\n\nWhich sentence precedes it?"),
        *turned(("What comes after this? {answer}", "{sentence}")),
        *plain(
            "앞에 있던 문장은 무엇입니까? {sentence}",
            "{sentence}\n\n이보다 앞에 무엇이라고 했습니까?",
            "이 문장 앞의 문장을 쓰세요. {sentence}",
            language="ko",
        ),
        *listing("{sentence}\n\n어느 문장이 앞에 있었습니까?", language="ko"),
        *turned(("이 문장 다음에는 무엇이 옵니까? {answer}", "{sentence}"), language="ko"),
    ),
}
