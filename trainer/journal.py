"""What a run leaves to read: its history, TensorBoard's files, pictures of samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.method import Table
from trainer.pictures import Picture, sheet, write_png
from trainer.run_folder import RunFolder


class Journal:
    """Writes to a run's folder; to nowhere where there is none, in all processes but the first."""

    def __init__(self, run: RunFolder | None) -> None:
        self._run = run
        self._board: Any = None
        if run is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(run.path / "tensorboard"))

    def session(self, step: int, machine: Mapping[str, Any]) -> None:
        """A run begins or is taken up: where."""
        if self._run is not None:
            self._run.log("session", step, machine)

    def scalars(self, step: int, values: Mapping[str, float], elapsed_s: float) -> None:
        """Losses and rates."""
        if self._run is None:
            return
        self._run.log("train", step, {"elapsed_s": round(elapsed_s, 3), "values": dict(values)})
        for name, value in values.items():
            self._board.add_scalar(f"train/{name}", value, step)

    def evaluation(self, step: int, table: Table, pictures: list[Picture]) -> None:
        """A table of metrics with its own pictures, and sample pictures."""
        if self._run is None:
            return
        kept: dict[str, str] = {}
        for number, (title, picture) in enumerate(table.pictures.items()):
            path = self._run.path / "pictures" / f"step_{step:07d}_{number}.png"
            path.parent.mkdir(exist_ok=True)
            write_png(picture, str(path))
            kept[title] = path.relative_to(self._run.path).as_posix()
            self._board.add_image(f"validation/{title}", picture, step, dataformats="HWC")
        self._run.log("evaluation", step, {"rows": table.rows, "notes": list(table.notes), "pictures": kept})
        for row, metrics in table.rows.items():
            for name, value in metrics.items():
                self._board.add_scalar(f"validation/{row}/{name}", value, step)
        if pictures:
            page = sheet(pictures)
            folder = self._run.path / "samples"
            folder.mkdir(exist_ok=True)
            write_png(page, str(folder / f"step_{step:07d}.png"))
            self._board.add_image("validation/samples", page, step, dataformats="HWC")

    def close(self) -> None:
        """Complete the files."""
        if self._board is not None:
            self._board.close()
