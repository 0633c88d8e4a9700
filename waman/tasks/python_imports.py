"""Cluster "place": which module is this from, and what is from this module. Made from the imports of Python sources.

The other options are taken from the other imports of the same source.
"""

import ast
import random
from collections import defaultdict
from collections.abc import Iterator

from waman.tasks.material import Material
from waman.tasks.question import Question, Task, draw_options

CLUSTER = "place"


def _module(material: Material, random: random.Random) -> Iterator[Question]:
    found = _imported(material, random)
    for index, (name, module) in enumerate(found.items()):
        options = draw_options(random, list(found.values()), index)
        if options is not None:
            yield Question(MODULE_OF_NAME.name, {"name": name}, module, options)


def _imported_name(material: Material, random: random.Random) -> Iterator[Question]:
    found = _imported(material, random)
    for index, (name, module) in enumerate(found.items()):
        options = draw_options(random, list(found), index)
        if options is not None and [found[option] for option in options].count(module) == 1:
            yield Question(NAME_OF_MODULE.name, {"module": module}, name, options)


def _import_for_line(material: Material, random: random.Random) -> Iterator[Question]:
    uses = _uses(material, random)
    for index, (line, statement) in enumerate(uses):
        options = draw_options(random, [other for _, other in uses], index)
        if options is not None:
            yield Question(IMPORT_FOR_LINE.name, {"line": line}, statement, options)


MODULE_OF_NAME = Task("module_of_name", CLUSTER, "say which module a name comes from", _module)
NAME_OF_MODULE = Task("name_of_module", CLUSTER, "say what a module offers", _imported_name)
IMPORT_FOR_LINE = Task("import_for_line", CLUSTER, "say which import a line of Python needs", _import_for_line)
TASKS = (MODULE_OF_NAME, NAME_OF_MODULE, IMPORT_FOR_LINE)


def _imported(material: Material, random: random.Random) -> dict[str, str]:
    """Name -> module for all `from module import name`, absolute ones, in random order."""
    if material.tree is None:
        return {}
    found = {
        one.name: node.module
        for node in ast.walk(material.tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0
        for one in node.names
        if one.name != "*"
    }
    return dict(random.sample(sorted(found.items()), len(found)))


def _uses(material: Material, random: random.Random) -> list[tuple[str, str]]:
    """For each import that some line uses alone, one such line: line and import statement, in random order."""
    if material.tree is None:
        return []
    statements = _import_statements(material.tree)
    users: dict[str, list[str]] = defaultdict(list)
    for line, node in material.statements.items():
        if isinstance(node, ast.Assign | ast.Return | ast.Expr):
            names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            needed = {statements[name] for name in names & statements.keys()}
            if len(needed) == 1:
                users[needed.pop()].append(line)
    return [(random.choice(users[statement]), statement) for statement in random.sample(sorted(users), len(users))]


def _import_statements(tree: ast.Module) -> dict[str, str]:
    """The name that each top-level import binds -> the statement that imports it alone."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {(one.asname or one.name.partition(".")[0]): ast.unparse(ast.Import([one])) for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {
                (one.asname or one.name): ast.unparse(ast.ImportFrom(node.module, [one], 0))
                for one in node.names
                if one.name != "*"
            }
    return found
