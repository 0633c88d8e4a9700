"""Documentation pages of modules, as `pydoc` finds what there is to tell and as HTML meant for reading.

pydoc's own HTML sets docstrings in nested tables, of which no extractor makes lines again; here a heading, paragraphs
and preformatted blocks carry the same text.
"""

import functools
import html
import inspect
import json
import os
import pydoc
import re
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_MARKED_LINE = re.compile(r"^([-*+•]|\d+[.)]|:\w|@\w|[\w.*]+ *:( |$)|[\w.]+\(.*\)( ->.*)?$|.* -- )")
_RULE = re.compile(r"^([=\-~^*#])\1{2,}$")
_MAX_SIGNATURE_CHARACTERS = 600
NAVIGATION = "<!-- navigation -->"
"""Stands in a rendered page for the links, until it is known which other pages there are."""
_SLOT_TYPES = (types.WrapperDescriptorType, types.MethodWrapperType)
"""Types of the methods that every class inherits, with one sentence for all."""


def page_path(module: str, group: str) -> str:
    """Where a module's page lies in the site."""
    return f"{group}/{module}.html"


def render_module(name: str, groups: Mapping[str, str]) -> str:
    """The page of a module, which is imported for it. `groups` maps every module of the site to its group.

    Raises ImportError where there is none, pydoc.ErrorDuringImport where importing it fails.
    """
    pydoc.safeimport(name)
    module = sys.modules.get(name)  # what pydoc returns may be a function of the same name
    if not inspect.ismodule(module):
        raise ModuleNotFoundError(f"No module named '{name}'")
    renderer = _ModulePage(groups, name)
    return strip_places(renderer.docmodule(module))


def render_in_child() -> None:
    """The life of a child: what to render from standard input, one line for each module to standard output."""
    asked = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    groups: dict[str, str] = asked["modules"]
    for module in asked["waiting"]:
        try:
            page = render_module(module, groups)
            path = Path(asked["folder"]) / page_path(module, groups[module])
            path.write_text(page, encoding="utf-8", errors="replace")
            why = ""
        except BaseException as error:  # noqa: BLE001  importing a foreign module may raise anything, SystemExit too
            cause = error.value if isinstance(error, pydoc.ErrorDuringImport) else error
            why = f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}"
        answers.write(f"{module}\t{why}\n")
        answers.flush()
    os._exit(0)  # whatever the modules left running


def render_index(title: str, modules: Mapping[str, str]) -> str:
    """The page that links every other one: the modules by group, in order."""
    by_group: dict[str, list[str]] = {}
    for module, group in modules.items():
        by_group.setdefault(group, []).append(module)
    parts = []
    for group in sorted(by_group):
        links = [f'<a href="{page_path(m, group)}">{html.escape(m)}</a>' for m in sorted(by_group[group])]
        parts.append(f"<h2>{html.escape(group)}</h2>\n<p>{', '.join(links)}</p>")
    return _page(title, "\n".join(parts)).replace(NAVIGATION, "")


def strip_places(text: str) -> str:
    """The text without object addresses and without the places where things lie on this machine."""
    text = _ADDRESS.sub("", text)
    for place, name in _places():
        text = re.sub(re.escape(place) + r"(?![\w.-])", name, text) if place[-1] != "/" else text.replace(place, name)
    return text


@functools.cache
def _places() -> tuple[tuple[str, str], ...]:
    """Folders of this machine and what is written for them, the longest first."""
    libraries = {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    libraries |= {sysconfig.get_path("platstdlib"), *site.getsitepackages(), str(Path(pydoc.__file__).parent)}
    found = {f"{place}/": "" for place in libraries if place}
    found |= {place: "/usr" for place in (sys.prefix, sys.base_prefix, sys.exec_prefix) if len(place) > 4}
    found |= {str(Path.home()): "/home/user", str(Path.cwd()): "/home/user"}
    return tuple(sorted(((p, n) for p, n in found.items() if p not in ("/", "//")), key=lambda pair: -len(pair[0])))


class _ModulePage(pydoc.HTMLDoc):
    """pydoc's visitor of modules, classes and routines, writing headings, paragraphs and preformatted blocks."""

    def __init__(self, groups: Mapping[str, str], module: str) -> None:
        super().__init__()
        self._groups, self._module = groups, module

    def docmodule(self, object: Any, name: str | None = None, mod: str | None = None, *ignored: Any) -> str:
        """The whole page of a module."""
        name = object.__name__
        parts = [f"<h1>{html.escape(name)}</h1>", docstring(pydoc.getdoc(object))]
        members = list(self._members(object))
        classes = [(key, value) for key, value in members if inspect.isclass(value)]
        routines = [(key, value) for key, value in members if inspect.isroutine(value)]
        if classes:
            parts += ["<h2>Classes</h2>", *(self.docclass(value, key, name) for key, value in classes)]
        if routines:
            parts += ["<h2>Functions</h2>", *(self.docroutine(value, key, name) for key, value in routines)]
        return _page(name, "\n".join(part for part in parts if part))

    def docclass(self, object: Any, name: str | None = None, mod: str | None = None, *ignored: Any) -> str:
        """A class with the methods and properties that it defines itself."""
        name = name or object.__name__
        bases = [_name_of_class(base, object.__module__) for base in object.__bases__ if base is not type(None)]
        shown = ", ".join(base for base in bases if base != "object")
        parts = [f"<h3>class {html.escape(name)}{html.escape(f'({shown})' if shown else '')}</h3>"]
        signature = _signature(object)
        if signature is not None and signature != "()":
            parts.append(f"<p><code>{html.escape(name + signature)}</code></p>")
        parts.append(docstring(pydoc.getdoc(object) if object.__doc__ else ""))
        silent = []
        for key, kind, owner, value in pydoc.classify_class_attrs(object):
            if owner is not object or not _is_told(key, value, object):
                continue
            text = self._docattribute(key, kind, value, name)
            if text is not None:
                parts.append(text)
            elif "method" in kind:
                silent.append(f"{key}{_signature(_unwrapped(value)) or '()'}")
        if silent:
            parts.append(f"<p>Methods without a description: <code>{html.escape(', '.join(silent))}</code></p>")
        return "\n".join(part for part in parts if part)

    def docroutine(self, object: Any, name: str | None = None, mod: str | None = None, *ignored: Any) -> str:
        """A function: its signature as a heading, then what it says of itself."""
        name = name or object.__name__
        heading = f"{name}{_signature(object) or '(...)'}"
        return f"<h3>{html.escape(heading)}</h3>\n{docstring(_own_doc(object))}"

    def _docattribute(self, key: str, kind: str, value: Any, owner: str) -> str | None:
        """A described method or property; None where it says nothing of itself."""
        routine = _unwrapped(value)
        text = _own_doc(routine)
        if not text.strip() or kind == "data":
            return None
        signature = (_signature(routine) or "(...)") if "method" in kind else ""
        heading = f"{owner}.{key}{signature}"
        return f"<h4>{html.escape(heading)}</h4>\n{docstring(text)}"

    def _members(self, module: types.ModuleType) -> Iterator[tuple[str, Any]]:
        """The public classes and routines of a module, but for those that have a page of their own elsewhere."""
        names = getattr(module, "__all__", None)
        for key in sorted(set(map(str, names)) if names is not None else set(vars(module))):
            value = inspect.getattr_static(module, key, None)
            if not (inspect.isclass(value) or inspect.isroutine(value)):
                continue
            home = str(getattr(value, "__module__", ""))
            own = home == module.__name__ or home.startswith("_")  # _bisect says the words of bisect
            if pydoc.visiblename(key, names, module) and (own or (names is not None and home not in self._groups)):
                yield key, value


def navigation(module: str, modules: Mapping[str, str]) -> str:
    """Where a reader of a module's page may go on: the index, the modules right above and below that have pages."""
    near = sorted(m for m in modules if m.rpartition(".")[0] == module or m == module.rpartition(".")[0])
    links = ['<a href="../index.html">Index</a>']
    links += [f'<a href="../{page_path(m, modules[m])}">{html.escape(m)}</a>' for m in near]
    return f"<nav>{' '.join(links)}</nav>"


def docstring(text: str) -> str:
    """A docstring as HTML: running text in paragraphs; lists, doctests and indented blocks line by line."""
    blocks: list[tuple[bool, list[str]]] = []
    for paragraph in re.split(r"\n[^\S\n]*\n", inspect.cleandoc(text)):
        for is_running, lines in _runs(paragraph.splitlines()):
            if blocks and not is_running and not blocks[-1][0]:
                blocks[-1][1].extend(["", *lines])
            else:
                blocks.append((is_running, lines))
    return "\n".join(_block(is_running, lines) for is_running, lines in blocks)


def _runs(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """The lines of a paragraph in stretches that are running text or are not."""
    lines = [line.rstrip() for line in lines if not _RULE.match(line.strip())]
    if any(line.startswith((">>>", "...")) for line in lines) or any(_MARKED_LINE.match(line) for line in lines[1:]):
        yield False, lines
        return
    run: list[str] = []
    indented = False
    for line in lines:
        if run and line.startswith((" ", "\t")) != indented:
            yield not indented, run
            run = []
        indented = line.startswith((" ", "\t"))
        run.append(line)
    if run:
        yield not indented, run


def _block(is_running: bool, lines: list[str]) -> str:
    if is_running:
        return f"<p>{html.escape(' '.join(line.strip() for line in lines))}</p>"
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _page(title: str, body: str) -> str:
    name = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n</head>\n<body>\n'
        f"{NAVIGATION}\n<main>\n<article>\n{body}\n</article>\n</main>\n</body>\n</html>\n"
    )


def _is_told(key: str, value: Any, owner: type) -> bool:
    if isinstance(value, _SLOT_TYPES):
        return False
    if key.startswith("__") and key.endswith("__"):
        return inspect.isfunction(value) and bool(value.__doc__)
    return bool(pydoc.visiblename(key, obj=owner))


def _own_doc(object: Any) -> str:
    """What an object says of itself; not what it inherits."""
    return inspect.cleandoc(object.__doc__) if isinstance(getattr(object, "__doc__", None), str) else ""


def _unwrapped(value: Any) -> Any:
    return value.__func__ if isinstance(value, staticmethod | classmethod) else value


def _signature(object: Callable[..., Any]) -> str | None:
    """The signature as text, without `self`; None where it is not known."""
    try:
        found = inspect.signature(object)
        parameters = list(found.parameters.values())
        if parameters and parameters[0].name in ("self", "cls") and not inspect.isclass(object):
            found = found.replace(parameters=parameters[1:])
        text = str(found)
    except Exception:  # noqa: BLE001  defaults and annotations are foreign objects whose repr may do anything
        return None
    return text if len(text) <= _MAX_SIGNATURE_CHARACTERS else "(...)"


def _name_of_class(cls: type, module: str) -> str:
    return cls.__qualname__ if cls.__module__ in ("builtins", module) else f"{cls.__module__}.{cls.__qualname__}"
