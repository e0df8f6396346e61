"""The command `briges`: what it finds, what it says when something is wrong, and its exit codes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from support.commands import MAIN, add_commands, environment, hide_modules, run_briges

OUR_COMMANDS = [
    "bench",
    "build",
    "bundle-offline",
    "doctor",
    "eval",
    "export",
    "fetch",
    "infer",
    "inspect",
    "plugin",
    "stream",
]

# Commands of another distribution, as a third party would add them. Each ends in its own way.
COMMANDS = '''
import signal
import time

import click
from briges.runtime.errors import ImageError, UsageError
from briges.runtime.main import requires


@click.command()
@click.option("--name", default="world")
def hello(name):
    """Greet somebody."""
    click.echo(f"hello {name}")


@click.command()
def crash():
    raise ZeroDivisionError("boom")


@click.command()
def refuse():
    raise ImageError(subject="image x.png", came="is empty", expected="an image", cure="copy it again")


@click.command()
def misuse():
    raise UsageError(subject="--size", came="13", expected="a multiple of 14", cure="use 14")


@click.command()
def fail():
    raise click.exceptions.Exit(1)


@click.command()
def wait():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell job inherits "ignore"
    click.echo("waiting")
    time.sleep(60)


@click.command()
def abort():
    raise click.Abort


@click.command()
def chatter():
    for number in range(100_000):
        click.echo(f"line {number}")


@requires("bench", "no_such_module_anywhere", "click", "nor_this_one")
@click.command()
def needy():
    click.echo("must not run")
'''
NAMES = ["hello", "crash", "refuse", "misuse", "fail", "wait", "abort", "chatter", "needy"]


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_commands(tmp_path_factory.mktemp("added"), COMMANDS, NAMES)


def sections(text: str) -> dict[str, list[list[str]]]:
    """The sections of click's help: title -> rows -> name and text."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        if title := re.fullmatch(r"(\w[\w ]*):", line):
            rows = found.setdefault(title[1], [])
        elif found and (row := re.fullmatch(r"  (\S+) {2,}(.+)", line)):
            rows.append([row[1], row[2]])
    return found


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_lists_the_commands_that_can_run_here(option):
    done = run_briges(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert [name for name, _ in sections(done.stdout)["Commands"]] == OUR_COMMANDS
    assert "Not installed here" not in done.stdout


def test_the_help_shows_what_is_missing_with_its_install_line(tmp_path):
    done = run_briges("--help", path=[hide_modules(tmp_path, ["torch", "onnxruntime"])])
    assert done.returncode == 0
    shown = sections(done.stdout)
    assert [name for name, _ in shown["Commands"]] == [
        "bench",
        "bundle-offline",
        "doctor",
        "eval",
        "fetch",
        "infer",
        "inspect",
        "plugin",
        "stream",
    ]
    assert shown["Not installed here"] == [
        ["build", "pip install 'briges-trt[build]'"],
        ["export", "pip install 'briges-trt[export]'"],
    ]


def test_a_command_whose_extra_is_missing_answers_with_the_install_line(tmp_path):
    hidden = hide_modules(tmp_path, ["torch", "onnxscript"])
    for arguments in (("export", "briges-tiny"), ("export", "--help")):
        done = run_briges(*arguments, path=[hidden])
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr == (
            "Error: briges export: not installed: torch, onnxscript\n"
            "  expected: the extra [export]\n"
            "  cure: pip install 'briges-trt[export]'\n"
        )


def test_commands_of_other_distributions_are_found(added):
    done = run_briges("hello", "--name", "Ada", path=[added])
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello Ada\n", "")
    listed = [name for name, _ in sections(run_briges("--help", path=[added]).stdout)["Commands"]]
    assert "hello" in listed
    assert "needy" not in listed


def test_only_the_absent_modules_of_a_command_are_named(added):
    done = run_briges("needy", path=[added])
    assert (done.returncode, done.stdout) == (1, "")
    assert "not installed: no_such_module_anywhere, nor_this_one\n" in done.stderr
    assert "pip install 'briges-trt[bench]'" in done.stderr


def test_an_unknown_command_gets_a_suggestion_and_nothing_runs():
    done = run_briges("exprot", "briges-tiny")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'exprot'" in done.stderr
    assert "Did you mean 'export'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Usage: briges"),
        (("infer",), "Missing argument 'BUNDLE'"),
        (("infer", "bundle", "x.jpg"), "Missing option '--out'"),
        (("infer", "bundle", "x.jpg", "--out", "o", "--fit", "zoom"), "'zoom' is not one of 'pad', 'stretch'"),
        (("build", "model", "--out", "o", "--flavor", "x"), "No such option"),
        (("--verbose",), "No such option"),
    ],
)
def test_a_wrong_request_exits_2_with_one_message(arguments, message):
    done = run_briges(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_that_of_the_distribution():
    done = run_briges("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"briges, version {metadata.version('briges-trt')}\n"


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("refuse", 1, "Error: image x.png: is empty\n  expected: an image\n  cure: copy it again\n"),
        ("misuse", 2, "Error: --size: 13\n  expected: a multiple of 14\n  cure: use 14\n"),
        (
            "crash",
            1,
            "Error: unexpected ZeroDivisionError: boom\n  This is a bug of ours: run the same command as "
            "`briges --debug ...` and report what it prints.\n",
        ),
        ("fail", 1, ""),
        ("abort", 1, "\nInterrupted: what was finished is kept, nothing is left half-written.\n"),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(added, command, code, message):
    done = run_briges(command, path=[added])
    assert (done.returncode, done.stdout, done.stderr) == (code, "", message)


@pytest.mark.parametrize("arguments", [("--debug", "crash"), ("crash", "--debug")])
def test_debug_shows_the_traceback_wherever_it_is_put(added, arguments):
    done = run_briges(*arguments, path=[added])
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: boom\n")


def test_debug_shows_the_traceback_of_our_own_errors_too(added):
    done = run_briges("--debug", "refuse", path=[added])
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "ImageError: image x.png: is empty" in done.stderr


def test_debug_changes_nothing_where_nothing_fails(added):
    done = run_briges("--debug", "hello", path=[added])
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello world\n", "")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "kill"])
def test_being_stopped_exits_1_without_a_traceback(added, stop):
    command = [sys.executable, "-c", MAIN, "wait"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(added)
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(stop)
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 1
    assert errors.endswith("\nInterrupted: what was finished is kept, nothing is left half-written.\n")
    assert "Traceback" not in errors


def test_a_reader_that_goes_away_ends_the_command_quietly(added):
    command = [sys.executable, "-c", MAIN, "chatter"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(added)
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "line 0\n"
        child.stdout.close()
        assert child.stderr.read() == ""
        child.wait(30)
    assert child.returncode == 1
