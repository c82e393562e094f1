"""The group of commands, and what becomes of errors.

Bad input ends with exit status 2 and one line that says what to do. Everything else that
goes wrong is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from crossentropy.cli.bench import bench
from crossentropy.cli.calibrate import calibrate
from crossentropy.cli.compare import INTERRUPTED, compare
from crossentropy.cli.predict import predict
from crossentropy.cli.report import report

BAD_INPUT = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="crossentropy", message="%(prog)s %(version)s")
def app() -> None:
    """Cross entropy, from the definition to the deployed probability."""


app.add_command(bench)
app.add_command(calibrate)
app.add_command(compare)
app.add_command(predict)
app.add_command(report)


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    arguments
        What stands after the program's name.
    """
    try:
        status = app.main(
            list(arguments),
            prog_name="crossentropy",
            standalone_mode=False,
            obj=shlex.join(["crossentropy", *arguments]),
        )
    except click.Abort:
        click.echo("interrupted before anything was finished", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        return _refuse(error.format_message() + _see_help(error))
    except ImportError as error:
        if error.name is not None:
            raise  # a module that ought to be there, not an extra left out
        return _refuse(str(error))
    return int(status or 0)


def _see_help(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f" (see {error.ctx.command_path} --help)"
    return ""


def _refuse(message: str) -> int:
    line = " ".join(message.split())
    click.echo(f"error: {line}", err=True)
    return BAD_INPUT
