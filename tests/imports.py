"""Reads the imports of a package from its sources, without importing anything."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One import statement's target, as it stands in a module."""

    module: str
    """The module that imports, dotted."""
    target: str
    """The module that is imported, dotted; names taken from a module are left off."""
    line: int
    lazy: bool = False
    """Inside a function: it runs when the function does."""
    for_types: bool = False
    """Under TYPE_CHECKING: it never runs."""
    names: tuple[str, ...] = ()
    """What is taken from the target that is no module itself."""

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@dataclass(frozen=True)
class Sources:
    """A package's modules and what each imports."""

    imports: dict[str, tuple[Import, ...]]
    dynamic: tuple[tuple[str, int], ...]
    """(module, line) of each call that imports by a name made at run time."""

    def closure(self, module: str) -> set[str]:
        """Everything loaded when `module` is imported: of this package and, one step out, of others."""
        loaded: set[str] = set()
        waiting = [module]
        while waiting:
            name = waiting.pop()
            if name in loaded:
                continue
            loaded.add(name)
            parent = name.rpartition(".")[0]
            waiting += [parent] if parent else []
            waiting += [one.target for one in self.imports.get(name, ()) if not one.lazy and not one.for_types]
        return loaded


def read_sources(package: Path) -> Sources:
    """Reads every module below `package`, a folder whose name is the package's."""
    modules = {_dotted(path, package): path for path in sorted(package.rglob("*.py"))}
    imports, dynamic = {}, []
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        imports[name] = tuple(_imports(tree, name, frozenset(modules)))
        dynamic += [(name, line) for line in _dynamic_imports(tree)]
    return Sources(imports, tuple(dynamic))


def _dotted(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(
    node: ast.AST, module: str, modules: frozenset[str], *, lazy: bool = False, for_types: bool = False
) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(module, alias.name, node.lineno, lazy, for_types)
        return
    if isinstance(node, ast.ImportFrom):
        assert node.module is not None, f"{module}:{node.lineno} has a relative import, which lint forbids"
        names = [alias.name for alias in node.names]
        inner = [name for name in names if f"{node.module}.{name}" in modules]
        outer = tuple(name for name in names if name not in inner)
        for name in inner:
            yield Import(module, f"{node.module}.{name}", node.lineno, lazy, for_types)
        if outer:
            yield Import(module, node.module, node.lineno, lazy, for_types, outer)
        return
    lazy = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for statement in node.body:
            yield from _imports(statement, module, modules, lazy=lazy, for_types=True)
        for statement in node.orelse:
            yield from _imports(statement, module, modules, lazy=lazy, for_types=for_types)
        return
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, module, modules, lazy=lazy, for_types=for_types)


def _dynamic_imports(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
            yield node.lineno
