"""The command line: `waman VERB [inputs] [--recipe NAME_OR_FILE] [--set field=value ...] --out DIR`."""

import functools
import inspect
import json
import logging
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from waman import settings
from waman.cli import commands
from waman.cli.verbs import VERBS, Input, Shortcut, Verb, resolve
from waman.dataflow import Cluster, Executor, Local, no_space
from waman.errors import InputError, RecipeError, WamanError
from waman.log import get_logger

INTERRUPTED = 130
"""What typer returns after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; an error is one message, exit 2 for what the user can mend, 1 for our own failure."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _set_up_log()
    try:
        app = build_app(explained=given[0] if given[1:] and "--help" in given else None)
        code = app(given, prog_name="waman", standalone_mode=False) or 0
        if code == INTERRUPTED:
            _say("interrupted; run the same command again to go on from what is finished")
        sys.exit(code)
    except TyperException as error:  # an unknown verb or option
        error.show()  # type: ignore[attr-defined]
        sys.exit(WamanError.exit_code)
    except WamanError as error:
        if "--debug" in given:
            raise
        _say(f"error: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if "--debug" in given:
            raise
        full = no_space(error)
        if full is not None:
            _say(f"error: {full}")
            sys.exit(full.exit_code)
        _say(f"error: waman failed: {type(error).__name__}: {error}\nThis is our fault; --debug shows where.")
        sys.exit(1)


def build_app(explained: str | None = None) -> typer.Typer:
    """Every verb as a typer command; the help of the one `explained` lists its recipe's fields."""
    app = typer.Typer(
        name="waman",
        help="From crawl to chat: make, measure and try an open language model on the machine you have.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for verb in VERBS:
        text = explain(verb) if verb.name == explained else verb.summary
        app.command(verb.name, help=text, short_help=verb.summary)(_command(verb))
    app.command("generate")(commands.generate)
    app.command("chat")(commands.chat)
    app.command("plan")(commands.plan)
    app.command("inspect")(commands.inspect)
    app.command("trace")(commands.trace)
    app.command("build-kernels")(commands.build_kernels)
    return app


def _set_up_log() -> None:
    logger = get_logger()
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _command(verb: Verb) -> Callable[..., None]:
    def run(**options: Any) -> None:
        recipe = settings.load(resolve(verb.recipe), options["recipe"], _overrides(verb, options))
        if options["dry_run"]:
            print(settings.render(recipe), end="")
            if verb.foresees is not None:
                print("".join(f"# {line}".rstrip() + "\n" for line in resolve(verb.foresees)(recipe)), end="")
            _foretell(verb, recipe, options)
            return
        if options["out"] is None:
            raise InputError(f"{verb.name}: no --out: name the directory to write")
        inputs = _open_inputs(verb, options)
        hooks: dict[str, Any] = {}
        if verb.foretells is not None:
            hooks["foretell"] = functools.partial(resolve(verb.foretells.plan), recipe, **inputs)
        executor = _executor(verb, options)
        if executor is not None:
            hooks["executor"] = executor
        made = resolve(verb.door)(recipe, **inputs, out=options["out"], replace=options["replace"], **hooks)
        _show(verb, made, as_json=options.get("json", False))
        if verb.foretells is not None and "planned" in made.counts:
            print(resolve(verb.foretells.render)(made.counts["planned"], made.manifest))

    run.__signature__ = _signature(verb)  # type: ignore[attr-defined]
    run.__name__ = verb.name
    return run


def _foretell(verb: Verb, recipe: Any, options: dict[str, Any]) -> None:
    """Prints what a run takes as comments of the TOML before it, where its inputs are given."""
    if verb.foretells is None or (not any(options[one.name] for one in verb.inputs) and not options.get("places")):
        return
    inputs = _open_inputs(verb, options)
    for name, value in resolve(verb.foretells.plan)(recipe, **inputs, unasked=False).items():
        print(f"# planned {name} = {value}")


def _executor(verb: Verb, options: dict[str, Any]) -> Executor | None:
    """Where the units of a verb run; None: where its door usually has them."""
    if not verb.in_units:
        return None
    cluster, workers = options["cluster"], options["workers"]
    if cluster is not None and workers is not None:
        raise InputError("--workers is for this machine: leave it out with --cluster, where the nodes' CPUs decide")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: expected at least 1")
    if cluster is not None:
        return Cluster(cluster)
    return Local(workers=workers) if workers is not None else None


def _overrides(verb: Verb, options: dict[str, Any]) -> list[str]:
    """What --set says, then what the verb's shortcuts say."""
    given = [(one, options[f"shortcut_{one.name}"]) for one in verb.shortcuts]
    return [*(options["set"] or ()), *(_shortcut(one, value) for one, value in given if value is not None)]


def _shortcut(shortcut: Shortcut, value: str) -> str:
    if shortcut.values is not None and value not in shortcut.values:
        raise RecipeError(f"--{shortcut.name}: found {value}, expected {' or '.join(shortcut.values)}")
    return f"{shortcut.field}={value if shortcut.values is None else shortcut.values[value]}"


def _show(verb: Verb, made: Any, *, as_json: bool) -> None:
    if verb.shows is None:
        print(made.path)
        return
    data = resolve(verb.shows.read)(made)
    if as_json:
        print(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        print(resolve(verb.shows.render)(data), end="")
        print(made.path)


def _signature(verb: Verb) -> inspect.Signature:
    def option(name: str, kind: Any, default: Any, *details: Any) -> inspect.Parameter:
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, *details]
        )

    parameters = []
    placed = [one for one in verb.inputs if one.by_place]
    if placed:
        names = " ".join(one.name.upper() + ("..." if one.many else "") for one in placed)
        place = typer.Argument(metavar=f"[{names}]", show_default=False, help="The inputs by place, in this order.")
        parameters.append(option("places", list[str] | None, None, place))
    for one in verb.inputs:
        details = typer.Option(f"--{_option(one)}", help=one.help + (" May be repeated." if one.many else ""))
        parameters.append(option(one.name, list[str] | None, None, details))
    for short in verb.shortcuts:
        details = typer.Option(f"--{short.name}", metavar=short.metavar, help=short.help)
        parameters.append(option(f"shortcut_{short.name}", str | None, None, details))
    parameters += [
        option("recipe", str | None, None, typer.Option(help="A shipped recipe's name or a .toml file.")),
        option("set", list[str] | None, None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field.")),
        option("out", Path | None, None, typer.Option(help="The directory to write: whole, or not at all.")),
        option("replace", bool, False, typer.Option("--replace", help="Rename what is there and begin anew.")),
        option("dry_run", bool, False, typer.Option("--dry-run", help="Print the resolved recipe and stop.")),
        option("debug", bool, False, typer.Option("--debug", help="Show the traceback of an error.")),
    ]
    if verb.in_units:
        address = typer.Option(metavar="HOST:PORT", help="Run units on the Ray cluster with this head.")
        parameters.append(option("cluster", str | None, None, address))
        count = typer.Option(metavar="N", help="Worker processes at once; else one for each core.")
        parameters.append(option("workers", int | None, None, count))
    if verb.shows is not None:
        parameters.append(option("json", bool, False, typer.Option("--json", help="Print what it found as JSON.")))
    return inspect.Signature(parameters)


def _open_inputs(verb: Verb, options: dict[str, Any]) -> dict[str, Any]:
    from waman.artifact import open_input

    named = {one.name: list(options[one.name] or []) for one in verb.inputs}
    _place(verb, named, list(options.get("places") or []))
    opened: dict[str, Any] = {}
    for one in verb.inputs:
        found = [open_input(path, one.kinds) for path in named[one.name]]
        if not found and not one.optional:
            raise InputError(f"{verb.name}: no {one.name}: give --{_option(one)} DIR ({one.help.rstrip('.')})")
        if len(found) > 1 and not one.many:
            raise InputError(f"{verb.name}: {len(found)} times --{_option(one)}, expected one: leave the others out")
        opened[one.name] = tuple(found) if one.many else found[0] if found else None
    return opened


def _option(one: Input) -> str:
    return one.option or one.name


def _place(verb: Verb, named: dict[str, list[str]], places: list[str]) -> None:
    """Deals the unnamed inputs to those not named, in order; the first that may be repeated takes what is left over."""
    waiting: list[Input] = [one for one in verb.inputs if one.by_place and not named[one.name]]
    singles = sum(1 for one in waiting if not one.many and not one.optional)
    spare = len(places) - singles
    for one in waiting:
        if one.many and spare > 0:
            named[one.name] = [places.pop(0) for _ in range(spare)]
            spare = 0
        elif not one.many and places:
            named[one.name] = [places.pop(0)]
    repeated = [one for one in verb.inputs if one.many and named[one.name] and one not in waiting]
    if places and len(repeated) == 1:  # --corpus A B C: a shell's pattern gives more than one
        named[repeated[0].name] += places
        places = []
    if places:
        raise InputError(
            f"{verb.name}: {len(places)} inputs too many: {', '.join(map(str, places))}; "
            "name the inputs with --NAME DIR"
        )


def explain(verb: Verb) -> str:
    """The summary, then every recipe field with its type, default and documentation."""
    lines = [verb.summary, "", "\b", "Recipe fields (--set FIELD=VALUE, or a .toml file):"]  # \b: typer must not rewrap
    for field in settings.describe(resolve(verb.recipe)):
        default = "required" if field.default is None else f"default {field.default}"
        lines.append(f"  {field.path}  ({field.type}; {default})")
        lines += textwrap.wrap(field.documentation, 92, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)
