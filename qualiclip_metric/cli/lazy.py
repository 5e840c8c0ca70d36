"""A command line whose commands are imported when they are called.

Help and version stay quick, and a missing extra stops only the command that needs it.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["Commands", "lazy_app"]

Commands = Mapping[str, tuple[str, str, str]]
"""Command -> its module, the Typer app or plain function there, one line of help."""


def lazy_app(commands: Commands, **options: Any) -> typer.Typer:
    """Make an application of commands in modules of their own, in the order of the help."""

    class LazyGroup(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """Resolve as Typer does, and import the command that a line of help stands for."""
            name: Any
            name, command, rest = super().resolve_command(ctx, args)
            if name in commands:
                command = _imported(name, *commands[name])
            return name, command, rest

    app = typer.Typer(
        cls=LazyGroup,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **options,
    )
    for name, (_, _, summary) in commands.items():
        app.command(name, help=summary)(lambda: None)
    return app


def _imported(name: str, module: str, attribute: str, summary: str) -> Any:
    target = getattr(import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name, short_help=summary)(target)
        target = single
    target.rich_markup_mode = None  # plain help wraps at any width; boxes leave a column of words
    return typer.main.get_command(target)
