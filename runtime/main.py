"""The command `briges`: finds its subcommands, and turns our errors into one clear message and an exit code.

Subcommands come from the entry-point group ``briges.commands``. One distribution lists them all wherever it is
installed, so each command says which modules it needs: `briges --help` shows what can run here, and asking for another
answers with the line that installs it.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import click

from briges.runtime.errors import BrigesError, MissingExtraError

_REQUIRES = "briges_requires"

Command = TypeVar("Command", bound=click.Command)
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class FolderPath(click.Path):
    """An output folder. The empty string, which scripts give for an unset variable, is not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse the empty string as a usage error."""
        if value == "":
            self.fail("is empty: name a folder, '.' for the current one", param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


def requires(extra: str, *modules: str) -> Callable[[Command], Command]:
    """Mark a command as needing ``modules``, which `pip install 'briges-trt[extra]'` brings."""

    def mark(command: Command) -> Command:
        setattr(command, _REQUIRES, (extra, modules))
        return command

    return mark


def with_options(command: Decorated, options: Iterable[Callable[[Decorated], Decorated]]) -> Decorated:
    """Give ``command`` the options as if they were written above it, the first on top."""
    for option in reversed(tuple(options)):
        command = option(command)
    return command


def command_line() -> str:
    """The command that is running, as it can be typed again; for records."""
    return shlex.join(("briges", *(click.get_current_context().find_root().obj or ())))


class CheckedGroup(click.Group):
    """A click group that hides the commands whose modules are not here, and says how to install them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands that can run here."""
        return sorted(name for name, command in self.commands.items() if not _missing(command))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None if there is none of that name. Raises MissingExtraError if it cannot run here."""
        command = self.commands.get(cmd_name)
        if command is not None and (missing := _missing(command)):
            extra, modules = missing
            raise MissingExtraError(
                subject=f"{ctx.command_path} {cmd_name}",
                came=f"not installed: {', '.join(modules)}",
                expected=f"the extra [{extra}]",
                cure=f"pip install 'briges-trt[{extra}]'",
            )
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List what is not installed, with the lines that install it."""
        rows = [
            (name, f"pip install 'briges-trt[{missing[0]}]'")
            for name, command in sorted(self.commands.items())
            if (missing := _missing(command))
        ]
        if rows:
            with formatter.section("Not installed here"):
                formatter.write_dl(rows)


class Commands(CheckedGroup):
    """The group over the entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As of ``CheckedGroup``."""
        self._discover()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """As of ``CheckedGroup``."""
        self._discover()
        return super().get_command(ctx, cmd_name)

    def _discover(self) -> None:
        # click takes its "did you mean" from self.commands, so they are registered there and not looked up lazily.
        if not self.commands:
            for point in metadata.entry_points(group="briges.commands"):
                self.add_command(point.load(), point.name)


def _missing(command: click.Command) -> tuple[str, list[str]] | None:
    extra, modules = getattr(command, _REQUIRES, ("", ()))
    absent = _absent(modules)
    return (extra, absent) if absent else None


def _absent(modules: Iterable[str]) -> list[str]:
    return [name for name in modules if importlib.util.find_spec(name) is None]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="briges-trt")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the full traceback of an error.")
def cli() -> None:
    """From a trained BriGeS depth model to a verified engine, and from an engine to depth.

    \b
    briges fetch depth-anything-v2-s                     public weights
    briges export depth-anything-v2-s --checkpoint FILE  checkpoint -> checked ONNX
    briges build build/model --out build/engine          ONNX -> engine bundle
    briges infer build/engine photo.jpg --out depth/     photographs -> depth
    """


def main(arguments: list[str] | None = None) -> None:
    """Run `briges`. Exit codes: 0 done, 1 failed or interrupted, 2 the request was wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # A polite kill cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Accepted anywhere: nobody retypes a long command to put it in front.
    debug = "--debug" in arguments
    sys.exit(_run([argument for argument in arguments if argument != "--debug"], debug))


def _run(arguments: list[str], debug: bool) -> int:
    try:
        code: Any = cli.main(args=arguments, prog_name="briges", standalone_mode=False, obj=tuple(arguments))
    except click.exceptions.Abort:  # click's form of Ctrl-C
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrigesError as error:
        if debug:
            raise
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        return 1  # the reader of our output has gone, as in `briges ... | head`
    except Exception as error:
        if debug:
            raise
        click.echo(
            f"Error: unexpected {type(error).__name__}: {error}\n"
            "  This is a bug of ours: run the same command as `briges --debug ...` and report what it prints.",
            err=True,
        )
        return 1
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    click.echo("\nInterrupted: what was finished is kept, nothing is left half-written.", err=True)
    return 1
