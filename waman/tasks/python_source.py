"""What Python sources consist of: functions with their summaries, lines that stand alone, imports."""

import ast
import inspect
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef
_HEADED = (ast.If, ast.For, ast.While, ast.With, ast.FunctionDef, ast.ClassDef)
_SENTENCE = re.compile(r"(.+?[.!?])(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Described:
    """A function with a docstring."""

    name: str
    signature: str
    """`def name(...)` as one line, without the colon."""
    summary: str
    """The first sentence of its docstring."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A token of a line, with the white space before it."""

    space: str
    text: str


def parse_source(text: str) -> ast.Module | None:
    """The text as a program; None where it is none, or defines and imports nothing (a page of prose, say)."""
    tree = parse_text(text)
    if tree is None:
        return None
    wanted = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return tree if any(isinstance(node, wanted) for node in tree.body) else None


def parse_text(text: str) -> ast.Module | None:
    """The syntax tree; None where the text does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def functions(tree: ast.AST) -> list[Function]:
    """Every function and method, in the order of the text."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted(found, key=lambda node: node.lineno)


def described_functions(tree: ast.AST, *, max_words: int = 14, max_signature: int = 90) -> list[Described]:
    """Functions whose docstring begins with a sentence of 3 to `max_words` words; of one name the first only."""
    found: dict[str, Described] = {}
    for function in functions(tree):
        text = ast.get_docstring(function)
        if text is None or function.name in found:
            continue
        summary = first_sentence(text)
        signature = signature_of(function)
        if 3 <= len(summary.split()) <= max_words and len(signature) <= max_signature:
            found[function.name] = Described(function.name, signature, summary)
    return list(found.values())


def signature_of(function: Function) -> str:
    """`def name(arguments)` on one line, without annotations of the result."""
    word = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    return f"{word} {function.name}({ast.unparse(function.args)})"


def first_sentence(docstring: str) -> str:
    """The first sentence of a docstring's first paragraph, on one line."""
    paragraph = " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())
    match = _SENTENCE.match(paragraph)
    return match[1] if match is not None else paragraph


def statement_lines(tree: ast.Module, text: str, *, lengths: range) -> dict[str, ast.stmt]:
    """Distinct lines, stripped, that hold a statement, or the head of one whose body follows, without comments.

    A few cannot stand alone (`elif`, or what follows `else:` on its line): `is_statement` tells.
    """
    lines = text.split("\n")
    found: dict[str, ast.stmt] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or not _is_a_line(node) or node.lineno > len(lines):
            continue
        line = lines[node.lineno - 1].strip()
        if len(line) in lengths and "#" not in line:
            found.setdefault(line, node)
    return found


def is_statement(line: str) -> bool:
    """Whether the line parses, as a statement or as the head of one; `return` does so outside a function, too."""
    return parse_text(f"{line} pass" if line.endswith(":") else line) is not None


def pieces(line: str) -> list[Piece] | None:
    """The tokens of a line; None where they cannot be told apart. Joined with their spaces they are the line."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(line).readline))
    except (tokenize.TokenError, SyntaxError):
        return None
    found, end = [], 0
    for token in tokens:
        if token.string and not token.string.isspace():
            found.append(Piece(line[end : token.start[1]], token.string))
            end = token.end[1]
    return found if "".join(piece.space + piece.text for piece in found) == line else None


def blocks(tree: ast.Module, text: str) -> Iterator[list[str]]:
    """The lines of each function's body after its docstring, as they stand."""
    lines = text.split("\n")
    for function in functions(tree):
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        if body and function.end_lineno is not None:
            yield lines[body[0].lineno - 1 : function.end_lineno]


def _is_a_line(node: ast.stmt) -> bool:
    if isinstance(node, _HEADED):
        return node.body[0].lineno == node.lineno + 1
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return node.lineno == node.end_lineno and not is_text
