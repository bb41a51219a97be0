"""Trains a network once for each value of a flag, and shows what became of it: a table, a CSV file and a picture.

    python -m trainers.sweep --flag=c --values=5,15,25,35 --output=runs/sweep_c \\
        --program='trainers.mnist --flagfile=trainers/configs/mnist_lenet_deep_defense.flags --init_weights=lenet.keras'

    sweeps of c and lam (Deep Defense, figures 3 and 4)          --flag=c, --flag=lam
    layer-wise regularization (Deep Defense, figure 6)           --flag=regularized_layers --values=conv1,conv2,fc1,fc2
    sweeps of the masks' ratio (Random Mask, table 5)            --flag=masks --values=shallow=0.3,shallow=0.5
    several seeds                                                --flag=seed --values=0,1,2
    several methods (Deep Defense, figure 2)                     --flag=flagfile --values=a.flags,b.flags

Each training is a process of its own with a workdir below --output; one that was killed goes on where it was, one that is
finished is not made again. Columns are the numbers of its metrics.json; a value with a comma in it is written with ";".
sweep.png has them by value, epochs.png what all runs logged after each epoch.
"""

import json
import pathlib
import shlex
import subprocess
import sys

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import program

FLAG = flags.DEFINE_string("flag", None, "The flag of the trainer that takes the values.", required=True)
VALUES = flags.DEFINE_list("values", None, "Its values.", required=True)
PROGRAM = flags.DEFINE_string("program", None, "The trainer and its other flags, without --workdir.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "Folder of the workdirs, sweep.csv and sweep.png.", required=True)


def main():
    output, flag, values = pathlib.Path(OUTPUT.value), FLAG.value, [value.replace(";", ",") for value in VALUES.value]
    files.check_writable(output)
    arguments = shlex.split(PROGRAM.value)
    if len(set(values)) < len(values):
        raise tfr.InputError("--values names a value twice")
    if not arguments or not arguments[0].startswith("trainers."):
        raise tfr.InputError(f"--program must begin with a trainer, such as trainers.mnist; got {PROGRAM.value!r}")
    rows, histories = [], {}
    for value in values:
        name = pathlib.PurePath(value).stem if flag == "flagfile" else value
        workdir = output / f"{flag}_{name}".replace("/", "_").replace("=", "_").replace(",", "_")
        _train([*arguments, f"--{flag}={value}", f"--workdir={workdir}"], workdir)
        measured, histories[value] = _measured(workdir)
        rows.append({flag: value, **measured})
    _save(output, flag, rows, histories)


def _save(output, flag, rows, histories):
    """Prints the table, and writes it with its pictures."""
    pictures = tfr.evaluation.render.pictures
    columns = [name for name in rows[0] if name not in (flag, "examples", "seconds")]
    cells = [[flag, *columns], *([row[flag], *(_text(row[name]) for name in columns)] for row in rows)]
    print("\n".join(tfr.evaluation.render.text.fitted(cells, words=1)))
    with files.written(output / "sweep.csv") as path:
        path.write_text(tfr.evaluation.exported.as_csv(rows))
    shown = {name: [row[name] for row in rows] for name in columns if name not in ("low", "high")}
    with files.written(output / "sweep.png") as path:
        path.write_bytes(pictures.panels(flag, list(histories), shown))
    if drawn := pictures.histories(histories):
        with files.written(output / "epochs.png") as path:
            path.write_bytes(drawn)
    print(f"sweep: {output / 'sweep.csv'}")


def _train(command, workdir):
    """A training in a process of its own, unless it is finished, as a file in its workdir says."""
    finished, text = workdir / "sweep.txt", shlex.join(command) + "\n"
    if finished.exists():
        if finished.read_text() != text:
            raise tfr.InputError(
                f"{workdir} holds a run of another --program (see {finished}): choose another --output"
            )
        return
    if subprocess.run([sys.executable, "-m", *command], check=False).returncode:
        raise tfr.InputError(f"{text.strip()} failed, as it says above: mend it and call this again")
    with files.written(finished) as path:
        path.write_text(text)


def _measured(workdir):
    """The numbers that a run has measured, with the interval of its accuracy; and what it logged after each epoch."""
    found = json.loads((workdir / "metrics.json").read_text())
    history = found["history"]
    found = {name: value for name, value in found.items() if not isinstance(value, (dict, list))}
    interval = tfr.evaluation.metrics.interval(found["accuracy"], found["examples"])
    return {"accuracy": found.pop("accuracy"), **interval, **found}, history


def _text(value):
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    program.run(main)
