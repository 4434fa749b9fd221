"""What a verb found, kept as it is found: an interruption leaves what was complete."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engines.errors import EngineError


class Report:
    """JSON that grows: into a file after every step, onto stdout at the end, however that comes."""

    def __init__(self, file: Path | None, on_stdout: bool) -> None:
        self._file = file
        self._on_stdout = on_stdout
        self._text = ""

    def update(self, plain: Any) -> None:
        """Replace what is reported, whole or not at all.

        Raises:
            EngineError: the file cannot be written.
        """
        # JSON knows no NaN, which stands for what was not measured.
        known = json.loads(json.dumps(plain), parse_constant=lambda name: None)
        self._text = json.dumps(known, indent=1) + "\n"
        if self._file is None:
            return
        partial = self._file.with_name(f".{self._file.name}.{os.getpid()}.part")
        try:
            partial.write_text(self._text, encoding="utf-8")
            partial.replace(self._file)
        except OSError as error:
            raise EngineError(f"cannot write {self._file} ({error.strerror}); name another file") from error
        finally:
            with suppress(OSError):
                partial.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_stdout:
            sys.stdout.write(self._text)
