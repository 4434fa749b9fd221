from __future__ import annotations

import base64
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")

from trainer.journal import Journal
from trainer.method import Table
from trainer.report import write_report
from trainer.report.charts import Curve, chart
from trainer.run_folder import RunFolder


def _run(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    run.write_config("toy <b>", {"loop": {"steps": 20}}, {}, ("all", "error"))
    run.log("session", 0, {"device": "CPU", "processes": 1, "threads": 1, "parameters": 1234567})
    for step in (10, 20):
        values = {"loss": 1.0 / step, "images_per_s": 10.0 * step, "lr": 1e-3}
        run.log("train", step, {"elapsed_s": step * 2.0, "values": values})
        rows = {"all": {"error": 0.1 if step == 10 else 0.2}, "profile": {"error": math.nan, "count": 3.0}}
        run.log("evaluation", step, {"rows": rows, "notes": ["fractions of the crop"]})
    return run


def test_the_page_tells_the_run_and_needs_nothing_else(tmp_path: Path) -> None:
    text = write_report(_run(tmp_path)).read_text()
    for expected in ("toy &lt;b&gt;", "20 of 20", "0:00:40", "200.0 (median)", "1,234,567", "fractions of the crop"):
        assert expected in text, expected
    assert "Step 10 (best by error of all)" in text and "Step 20 (last)" in text
    assert not re.search(r"(src|href)=\"?(?!data:)", text)

    class Strict(HTMLParser):
        open_figures = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.open_figures += tag == "figure"

    parser = Strict()
    parser.feed(text)
    assert parser.open_figures == 2 + 3  # error, count; loss, images/s, lr


def test_a_run_that_logged_nothing_yet_has_a_page(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_config("toy", {"loop": {"steps": 20}}, {}, ("all", "error"))
    assert "Nothing was evaluated yet" in write_report(run).read_text()


def test_pictures_of_the_last_evaluation_are_on_the_page(tmp_path: Path) -> None:
    run = _run(tmp_path)
    journal = Journal(run)
    picture = np.full((20, 30, 3), 200, np.uint8)
    row = {"all": {"error": 0.1}}
    for step, title in ((30, "older"), (40, "sigma <calibration>")):
        journal.evaluation(step, Table(row, (), {title: picture}), [])
    journal.close()
    text = write_report(run).read_text()
    assert "sigma &lt;calibration&gt;, step 40" in text and "older" not in text
    data = re.search(r'<figure><img alt="sigma[^"]*" src="data:image/png;base64,([^"]*)"', text)
    assert data
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data[1]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == picture.shape and (decoded == 200).all()
    for file in (tmp_path / "pictures").iterdir():
        file.unlink()
    assert "calibration" not in write_report(run).read_text()


@pytest.mark.parametrize(
    "values",
    [[1.0], [0.0, 0.0], [1e-8, 1e3], [-5.0, 5.0], [math.nan, 1.0, math.inf, 2.0], [3.0, 3.0 + 1e-15]],
    ids=["one", "flat", "wide", "signed", "gaps", "nearly flat"],
)
def test_charts_stay_inside_their_frame(values: list[float]) -> None:
    svg = re.search(r"<svg.*</svg>", chart("loss", [Curve("a", list(enumerate(values)))]))
    assert svg
    tree = ElementTree.fromstring(svg.group())
    numbers = [float(n) for line in tree.iter("polyline") for n in re.split("[ ,]", line.attrib["points"])]
    assert numbers and all(0.0 <= n <= 380.0 for n in numbers)
    assert all(0 <= n <= 210 for n in numbers[1::2])
    assert 2 <= len(list(tree.iter("line"))) <= 7 or len(set(values)) == 1


def test_nothing_finite_is_no_chart() -> None:
    assert chart("loss", [Curve("a", [(0, math.nan)])]) == ""
