"""Calls the program."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings

from .errors import LowbitWarning, ProgramFailed, ProgramNotFound


def find(program=None):
    """The file of the program: `program`, else what LOWBIT names, else `lowbit` on the PATH."""
    for name, said in ((program, "program="), (os.environ.get("LOWBIT"), "LOWBIT="), ("lowbit", "")):
        if not name:
            continue
        path = shutil.which(os.fspath(name))
        if path:
            return path
        where = f"{said}{name} is no program" if said else "there is no 'lowbit' on the PATH"
        raise ProgramNotFound(f"{where}: build it (make), then set LOWBIT=FILE or give program=FILE")


def run(config, *, program=None, again=False, quiet=False, **overrides):
    """`lowbit run config`: runs the sweep (what is finished stays) and returns its Results.

    config     a file, a folder that holds config.yaml, or the name of one that comes with the program ("demo")
    overrides  keys of the config: seed=1, axes={"bits": [2, 3]}, **{"eval.windows": 20}
    again      run every cell, finished or not
    quiet      print nothing while it runs
    Errors: ProgramNotFound, ProgramFailed (a config that cannot be run, an interruption). Failed cells and values
    outside their tolerance are a LowbitWarning.
    """
    command = [find(program), "run", os.fspath(config), *(["--again"] if again else [])]
    for key, value in overrides.items():
        command += ["-o", f"{key}={_yaml(value)}"]
    status, output = _call(command, quiet)
    # The program names the folder before it starts, and the report when there is one.
    folder = re.search(r"^results +(\S.*)$", output, re.MULTILINE)
    written = re.search(r"^written: .*cells\.csv$", output, re.MULTILINE)
    if status and not (status == 1 and folder and written):
        raise _failed("run", status, output)
    if status:
        warnings.warn(f"lowbit run: {_last(output)}", LowbitWarning, stacklevel=2)
    from .results import load

    return load(folder[1])


def report(folder, *args, program=None):
    """`lowbit report folder args...`: writes the report again and returns what is printed (the main table)."""
    command = [find(program), "report", os.fspath(folder), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        raise _failed("report", done.returncode, done.stdout + done.stderr)
    return done.stdout


def _yaml(value):
    """JSON is YAML."""
    return json.dumps(os.fspath(value) if isinstance(value, os.PathLike) else value, ensure_ascii=False)


def _call(command, quiet):
    """Prints what the program prints as it comes, also where standard output is no terminal, as in a notebook."""
    lines = []

    def take(stream):
        for line in stream:
            lines.append(line)
            if not quiet:
                sys.stdout.write(line)
                sys.stdout.flush()

    # In a session of its own the program has an interruption from here alone, once: the first is an orderly stop that
    # keeps finished blocks, a second one would end it at once.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as p:
        try:
            take(p.stdout)
        except KeyboardInterrupt:
            p.send_signal(signal.SIGINT)
            take(p.stdout)
            raise
        except BaseException:
            p.kill()
            raise
    return p.returncode, "".join(lines)


def _last(output):
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _failed(command, status, output):
    if status == 130:
        why = "interrupted: run again, it goes on where it was"
    elif status < 0:
        why = f"ended by signal {-status}"
    else:
        why = _last(output)
    prefix = f"lowbit {command}: "
    return ProgramFailed(why if why.startswith(prefix) else prefix + why, status, output)
