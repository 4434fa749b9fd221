"""``tracker doctor``: what this machine can do, what is missing, and how to mend it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

HELP = "say what this machine can do, what is missing, and how to mend it"

_EPILOG = """\
Exits with 0 when tracking works here, with 1 when something that it needs is missing.

examples:
  tracker doctor
  tracker doctor --json | python -m json.tool
"""

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "missing": ("✗", "red"), "info": ("·", "dim")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    from tracker.diagnosis import Finding, examine

    findings: list[Finding] = []
    if args.json:
        findings.extend(examine())
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        for finding in examine():
            findings.append(finding)
            mark, style = _MARKS[finding.state]
            line = Text.assemble((f"{mark} ", style), (f"{finding.subject:<13}", "bold"), finding.detail)
            console.print(line, soft_wrap=True)
            if finding.fix:
                console.print(Text.assemble("  to mend it:  ", (finding.fix, "cyan")), soft_wrap=True)
    missing = [finding.subject for finding in findings if finding.state == "missing"]
    warnings = [finding.subject for finding in findings if finding.state == "warning"]
    if args.json:
        report = {"ready": not missing, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    elif missing:
        sys.stdout.write(f"\nnot ready: {', '.join(missing)}\n")
    else:
        sys.stdout.write("\nready to track" + (f"; worth a look: {', '.join(warnings)}\n" if warnings else "\n"))
    return 1 if missing else 0
