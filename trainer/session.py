"""From settings to a run and back: what the command line does, for whoever calls it from Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tracker.errors import ConfigError
from trainer import checkpoint as checkpoints
from trainer.errors import CheckpointError
from trainer.evaluation import evaluate
from trainer.loop import Outcome, Training
from trainer.machine import set_up
from trainer.method import Method, Table
from trainer.methods import find
from trainer.run_folder import RunFolder, new_run
from trainer.run_settings import RunSettings
from trainer.settings import merge, read_assignments, read_file
from trainer.watch import Watcher

Which = Literal["best", "last"]


class Plan(NamedTuple):
    """What is to be run."""

    name: str
    """As ``find`` takes it."""
    method: Method[Any]
    settings: RunSettings

    def plain(self) -> dict[str, Any]:
        return self.settings.plain() | {"method": self.method.settings.plain()}


def plan(name: str, values: Mapping[str, Any]) -> Plan:
    """A method with its settings from nested tables; the method's own stand under ``method``.

    Raises:
        ConfigError: an unknown method or setting, or a value out of range.
    """
    kind = find(name)
    shared = {key: value for key, value in values.items() if key != "method"}
    known = [field.name for field in fields(RunSettings)]
    unknown = [key for key in shared if key not in known]
    if unknown:
        raise ConfigError(
            f"unknown setting {unknown[0]}: there are {', '.join(known)}, and the method's own as method.NAME"
        )
    settings = RunSettings.read(shared)
    return Plan(name, kind(kind.settings_class.read(values.get("method", {}), "method."), settings.seed), settings)


def layered(name: str, preset: str | None = None, file: Path | None = None, sets: list[str] | None = None) -> Plan:
    """Settings laid over each other: defaults, a preset, a file, assignments such as ``optimiser.lr=1e-4``.

    Raises:
        ConfigError: an unknown preset, or what ``plan`` refuses.
    """
    presets = find(name).presets
    if preset is not None and preset not in presets:
        raise ConfigError(f"{name} has no preset {preset!r}: there are {', '.join(presets) or 'none'}")
    chosen = presets[preset] if preset is not None else {}
    given = read_file(file) if file else {}
    if "method_name" in given:  # a run's config.json
        given = given.get("settings", {})
    return plan(name, merge(chosen, given, read_assignments(sets or [])))


def fit(
    wanted: Plan,
    out: Path | None = None,
    label: str | None = None,
    watcher: Watcher | None = None,
    until: int | None = None,
) -> tuple[RunFolder, Outcome]:
    """Start a run in a fresh folder."""
    fabric = set_up(wanted.settings)
    run = RunFolder(Path(fabric.broadcast(str(new_run(wanted.name, out, label).path) if fabric.is_global_zero else "")))
    data: dict[str, str] = {}
    if fabric.is_global_zero:
        data = wanted.method.prepare()
        run.write_config(wanted.name, wanted.plain(), data, wanted.method.best)
    fabric.barrier()
    return run, Training(run, wanted.method, wanted.settings, fabric, watcher).fit(until)


def resume(
    run: RunFolder, sets: list[str] | None = None, watcher: Watcher | None = None, until: int | None = None
) -> Outcome:
    """Go on with a run from its last checkpoint, exactly as if it had never stopped.

    Args:
        run: its folder.
        sets: settings to change, such as ``loop.steps=20000``: then it goes on, but not exactly.
        watcher: told what happens.
        until: stop after this step.

    Raises:
        CheckpointError: there is none, or it does not fit.
    """
    config = run.config()
    wanted = plan(config["method_name"], merge(config["settings"], read_assignments(sets or [])))
    kept = _checkpoint(run, wanted, "last")
    fabric = set_up(wanted.settings)
    if fabric.is_global_zero:
        wanted.method.prepare()
        if sets:
            run.write_config(wanted.name, wanted.plain(), config["made_with"]["data_sha256"], wanted.method.best)
    fabric.barrier()
    training = Training(run, wanted.method, wanted.settings, fabric, watcher)
    training.restore(kept)
    return training.fit(until)


def measure(run: RunFolder, which: Which = "best", sets: list[str] | None = None) -> Table:
    """Evaluate a run's network on its validation data."""
    wanted, training = _trained(run, which, sets)
    table, _ = evaluate(
        wanted.method,
        training.deployable,
        wanted.method.streams().validation,
        training.fabric,
        wanted.settings.machine.workers,
    )
    return table


def export(run: RunFolder, path: Path, which: Which = "best") -> None:
    """Write a run's network as ONNX. Raises ``ExportError``."""
    wanted, training = _trained(run, which, None)
    wanted.method.export(training.deployable, path)


def _trained(run: RunFolder, which: Which, sets: list[str] | None) -> tuple[Plan, Training]:
    config = run.config()
    wanted = plan(config["method_name"], merge(config["settings"], read_assignments(sets or [])))
    kept = _checkpoint(run, wanted, which)
    training = Training(run, wanted.method, wanted.settings, set_up(wanted.settings))
    training.restore_weights(kept)
    return wanted, training


def _checkpoint(run: RunFolder, wanted: Plan, which: Which) -> checkpoints.Checkpoint:
    path = run.last if which == "last" else run.best
    if not path.exists():
        raise CheckpointError(f"{run.path} has no {which} checkpoint yet (it would be {path})")
    kept = checkpoints.load(path)
    if kept.method != wanted.method.name:
        raise CheckpointError(f"{path} is of the method {kept.method!r}, expected {wanted.method.name!r}")
    return kept
