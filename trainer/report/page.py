"""The page of a run: curves, pictures, tables, settings, cost."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any, Final

from trainer.report.charts import Curve, chart
from trainer.run_folder import RunFolder, write_text

_MOST_ROWS: Final = 8
"""Curves in one chart of a metric."""

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #8886; }
figure { display: inline-block; margin: .4rem; vertical-align: top; } svg text { font-size: 10px; fill: currentColor; }
svg .title { font-size: 12px; font-weight: 600; } svg .grid { stroke: #8884; } .key { font-size: 11px; max-width: 380px; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #8883; }
th:first-child, td:first-child { text-align: left; } pre { overflow-x: auto; font-size: 12px; } img { max-width: 100%; }
.facts td { text-align: left; } .small { opacity: .75; font-size: 12px; }
"""


def write_report(run: RunFolder) -> Path:
    """Write ``report/index.html`` into a run's folder: one file with everything in it.

    Returns:
        Its path.

    Raises:
        ConfigError: the folder holds no run.
    """
    config = run.config()
    history = run.history()
    trained = [line for line in history if line["kind"] == "train"]
    evaluations = [line for line in history if line["kind"] == "evaluation"]
    sessions = [line for line in history if line["kind"] == "session"]
    title = f"{config['method_name']}: {run.path.resolve().name}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        _facts(config, trained, evaluations, sessions),
        _results(evaluations, config.get("best", [])),
        _pictures(run, evaluations),
        _samples(run),
        _curves(trained, evaluations),
        f"<h2>Settings</h2><pre>{escape(json.dumps(config['settings'], indent=2))}</pre>",
        f"<h2>Made with</h2><pre>{escape(json.dumps(config['made_with'], indent=2))}</pre>",
    ]
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    path = run.path / "report" / "index.html"
    path.parent.mkdir(exist_ok=True)
    write_text(path, page + "\n".join(sections) + "</html>\n")
    return path


def _facts(
    config: Mapping[str, Any],
    trained: list[dict[str, Any]],
    evaluations: list[dict[str, Any]],
    sessions: list[dict[str, Any]],
) -> str:
    rates = sorted(line["values"]["images_per_s"] for line in trained)
    facts: dict[str, str] = {}
    if trained:
        facts["steps"] = f"{trained[-1]['step']} of {config['settings']['loop']['steps']}"
        facts["training time"] = str(timedelta(seconds=round(trained[-1]["elapsed_s"])))
        facts["images per second"] = f"{rates[len(rates) // 2]:.1f} (median), {rates[0]:.1f} to {rates[-1]:.1f}"
    if sessions:
        session = sessions[-1]
        facts["machine"] = (
            f"{session['device']}, {session['processes']} process(es), {session['threads']} CPU thread(s)"
        )
        facts["parameters"] = f"{session['parameters']:,} trained"
        facts["started or resumed"] = f"{len(sessions)} time(s), first at {config['made_with']['started']}"
        peaks = [line["values"]["gpu_peak_mb"] for line in trained if "gpu_peak_mb" in line["values"]]
        if peaks:
            facts["GPU memory"] = f"{max(peaks):.0f} MB at most"
    facts["evaluations"] = str(len(evaluations))
    facts["code"] = f"{config['made_with']['trainer']}, commit {config['made_with']['commit'] or 'unknown'}"
    rows = "".join(f"<tr><td>{escape(name)}<td>{escape(value)}" for name, value in facts.items())
    return f'<table class="facts">{rows}</table>'


def _results(evaluations: list[dict[str, Any]], best: Sequence[str]) -> str:
    if not evaluations:
        return "<h2>Results</h2><p>Nothing was evaluated yet."
    shown = [("last", evaluations[-1])]
    if len(best) == 2:
        row, metric = best
        scored = [line for line in evaluations if math.isfinite(line["rows"][row][metric])]
        if scored:
            winner = min(scored, key=lambda line: line["rows"][row][metric])
            shown.insert(0, (f"best by {metric} of {row}", winner))
    parts = ["<h2>Results on validation data</h2>"]
    for label, line in shown:
        parts.append(f"<h3>Step {line['step']} ({escape(label)})</h3>{_table(line['rows'])}")
        parts += [f'<p class="small">{escape(note)}</p>' for note in line["notes"]]
        if shown[0][1] is shown[-1][1]:
            break
    return "".join(parts)


def _table(rows: Mapping[str, Mapping[str, float]]) -> str:
    metrics = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "".join(f"<th>{escape(name)}" for name in metrics)
    body = "".join(
        f"<tr><td>{escape(row)}" + "".join(f"<td>{values[m]:.4g}" if m in values else "<td>" for m in metrics)
        for row, values in rows.items()
    )
    return f"<table><tr><th>{head}{body}</table>"


def _pictures(run: RunFolder, evaluations: list[dict[str, Any]]) -> str:
    """What the last evaluation drew; files that somebody has deleted are left out."""
    shown = []
    for title, place in (evaluations[-1].get("pictures", {}) if evaluations else {}).items():
        path = run.path / place
        if path.is_file():
            shown.append(
                f'<figure>{_image(path, title)}<figcaption class="small">{escape(title)}, '
                f"step {evaluations[-1]['step']}</figcaption></figure>"
            )
    return "".join(shown)


def _image(path: Path, alt: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def _samples(run: RunFolder) -> str:
    sheets = sorted((run.path / "samples").glob("step_*.png"))
    if not sheets:
        return ""
    step = int(sheets[-1].stem.partition("_")[2])
    return (
        f'<h2>Samples at step {step}</h2><p class="small">Validation crops; true points green, predicted ones red.</p>'
        f"{_image(sheets[-1], 'samples')}"
    )


def _curves(trained: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for line in trained for name in line["values"]))
    charts = [
        chart(name, [Curve(name, [(line["step"], line["values"][name]) for line in trained if name in line["values"]])])
        for name in names
    ]
    rows = list(dict.fromkeys(row for line in evaluations for row in line["rows"]))[:_MOST_ROWS]
    metrics = list(dict.fromkeys(m for line in evaluations for row in line["rows"].values() for m in row))
    measured = [
        chart(
            f"validation {metric}",
            [
                Curve(
                    row, [(e["step"], e["rows"][row][metric]) for e in evaluations if metric in e["rows"].get(row, {})]
                )
                for row in rows
            ],
        )
        for metric in metrics
    ]
    return f"<h2>Validation</h2>{''.join(measured)}<h2>Training</h2>{''.join(charts)}"
