"""``engines info``: an engine, a network file, or this machine's backends."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "tell all about an engine, a network file, or this machine's backends"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``engines info``."""
    parser.epilog = (
        "examples:\n"
        "  engines info                  the backends: version, device, precisions, or how to install them\n"
        "  engines info my.onnx          inputs, outputs, header and operators\n"
        "  engines info FILE.engine      everything that is known about an engine\n"
    )
    parser.add_argument("what", nargs="?", metavar="MODEL|ENGINE", help="a network's file or name, or an .engine file")
    parser.add_argument("--json", action="store_true", help="as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Carry out ``engines info``; returns the exit code."""
    import json
    import sys

    from engines.artifact import SUFFIX
    from engines.cli.options import wide_console

    if args.what is None:
        plain = _backends()
    elif Path(args.what).suffix == SUFFIX:
        plain = _engine(Path(args.what))
    else:
        plain = _model(args.what)
    if args.json:
        json.dump(plain, sys.stdout, indent=1, default=str)
        sys.stdout.write("\n")
        return 0
    console = wide_console()
    for name, value in plain.items():
        if isinstance(value, dict):
            console.print(f"{name}:")
            for key, entry in value.items():
                console.print(f"  {key}: {_text(entry)}", soft_wrap=True, markup=False)
        else:
            console.print(f"{name}: {_text(value)}", soft_wrap=True, markup=False)
    return 0


_MOST_LISTED = 12


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        if len(value) > _MOST_LISTED and all(isinstance(entry, int) for entry in value):
            return f"{len(value)} of them"
        return ", ".join(_text(entry) for entry in value)
    if isinstance(value, dict):
        return " ".join(f"{key}={_text(entry)}" for key, entry in value.items() if entry not in ("", (), [], {}))
    return str(value)


def _backends() -> dict[str, object]:
    from engines.backend import TABLE, installed
    from engines.cache import cache_dir
    from engines.choice import remembered_choices
    from engines.errors import EngineError
    from engines.state import capability_of

    lines: dict[str, object] = {}
    for name, entry in TABLE.items():
        if not installed(name):
            lines[name] = f"not installed: pip install {entry.install}"
        elif not entry.builds:
            lines[name] = f"loads {', '.join(entry.reads)} files"
        else:
            about = capability_of(name)
            lines[name] = (
                str(about)
                if isinstance(about, EngineError)
                else f"{about.version}, {about.device_name} ({about.device}): {', '.join(about.precisions)}"
                + ("" if about.runs else f"; builds only: {about.why_not}")
            )
    choices = {
        f"{choice['network']} {choice['precision']} batch {choice['batch']}": f"{choice['backend']}, measured "
        + ", ".join(f"{name} {ms:.2f} ms" for name, ms in choice["ms"].items())
        for choice in remembered_choices().values()
    }
    return {**lines, "cache": str(cache_dir()), "chosen by auto": choices or "nothing yet"}


def _engine(path: Path) -> dict[str, object]:
    from engines.artifact import read_artifact
    from engines.state import state_of

    header, _ = read_artifact(path)
    plain = header.as_dict()
    network = plain.pop("network")
    return {"path": str(path), "state": state_of(header), **plain, **({} if network is None else {"network": network})}


def _model(name: str) -> dict[str, object]:
    from engines.model import read_model
    from engines.resolve import resolve

    resolved = resolve(name)
    model = read_model(resolved.path)
    return {
        "network": resolved.name,
        "file": str(resolved.path),
        "sha256": model.sha256,
        "inputs": [f"{port.name} {port.dtype.name}{list(port.dimensions)}" for port in model.inputs],
        "outputs": [f"{port.name} {port.dtype.name}{list(port.dimensions)}" for port in model.outputs],
        "operators": model.operators,
        "header": {} if model.network is None else model.network.as_dict(),
    }
