"""Removes the worker's header from a job's stderr: the command with which each run begins (spec 11.2, 12.4)."""

from __future__ import annotations

_TITLES = (b'Launch Command: "', b'Spark Executor Command: "')
_END = b'"\n' + b"=" * 40 + b"\n\n"
_LONGEST = 64 * 1024  # bytes; a longer command is shown


class HeaderFilter:
    """``feed`` returns what can be shown now. It holds back only text that begins, at the start of a line, as a header does;
    a progress bar without line ends passes at once."""

    def __init__(self) -> None:
        self._rest = b""
        self._at_line_start = True

    def feed(self, data: bytes) -> bytes:
        self._rest += data
        shown = []
        while self._rest:
            if self._at_line_start and _begins_like_header(self._rest):
                end = self._rest.find(_END)
                if end < 0 and len(self._rest) <= _LONGEST:
                    break
                if end >= 0:
                    self._rest = self._rest[end + len(_END) :]
                    continue
            cut = _next_candidate(self._rest)
            piece, self._rest = self._rest[:cut], self._rest[cut:]
            self._at_line_start = piece.endswith(b"\n")
            shown.append(piece)
        return b"".join(shown)

    def finish(self) -> bytes:
        """Return the text that was held back: no more will come."""
        rest, self._rest, self._at_line_start = self._rest, b"", True
        return rest


def _begins_like_header(text: bytes) -> bool:
    return any(title.startswith(text[: len(title)]) for title in _TITLES)


def _next_candidate(text: bytes) -> int:
    """Return where, after the first line, the next line starts that may be a header; or the end."""
    start = text.find(b"\n") + 1
    while 0 < start < len(text):
        if _begins_like_header(text[start : start + 32]):
            return start
        start = text.find(b"\n", start) + 1
    return len(text)
