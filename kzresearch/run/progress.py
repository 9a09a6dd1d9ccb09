"""How far a batch is: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Progress:
    """Runs done, failed and left, rate, time left, and the runs under way; from several threads."""

    def __init__(self, total: int, shown: bool | None, say: Callable[[str], None]) -> None:
        from tqdm import tqdm

        on = sys.stderr.isatty() if shown is None else shown
        self._bar = tqdm(
            total=total,
            unit="run",
            disable=not on or not total,
            dynamic_ncols=True,
            leave=False,
            bar_format="{n_fmt}/{total_fmt} |{bar:16}| {rate_fmt}, {remaining} left{postfix}",
        )
        self._say, self._lock = say, threading.Lock()
        self._under_way: dict[str, None] = {}  # in the order in which they began
        self._failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def say(self, text: str) -> None:
        """Tell the reader something without breaking the bar."""
        with self._bar.external_write_mode():
            self._say(text)

    def began(self, label: str) -> None:
        """A run is under way."""
        with self._lock:
            self._under_way[label] = None
            self._show()
            self._bar.refresh()

    def ended(self, label: str, *, failed: bool) -> None:
        """A run has ended."""
        with self._lock:
            self._under_way.pop(label, None)
            self._failed += failed
            self._show()
            self._bar.update()

    def _show(self) -> None:
        if not self._bar.disable:
            now = ", ".join(self._under_way)
            failed = f"{self._failed} failed, " if self._failed else ""
            self._bar.set_postfix_str(f"{failed}now: {now}", refresh=False)
