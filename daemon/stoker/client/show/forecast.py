"""A forecast as a table and as JSON."""

from __future__ import annotations

from stoker.client.show import table as text
from stoker.core.forecast.compare import Forecast
from stoker.core.model.changes import ForecastRow

NOTHING = "Nothing waits."
_HEADERS = ("Id", "Name", "User", "Pool", "Starts")


def as_text(found: Forecast, at: float, *, is_change: bool, all_rows: bool) -> str:
    """Return the table, what the lengths rest on, and the sums. ``at``: now, by the master."""
    if not found.rows:
        return NOTHING
    headers = (*_HEADERS, "With the changes") if is_change else _HEADERS
    cells = [_cells(row, at, is_change=is_change) for row in found.rows]
    parts = [text.table("What waits", headers, cells if all_rows else cells[: text.MOST_ROWS], total=len(cells))]
    parts.append("\n".join(_sums(found, is_change=is_change)))
    return "\n\n".join(parts)


def _cells(row: ForecastRow, at: float, *, is_change: bool) -> list[str]:
    before = "" if row.is_new else _start(row.before, at)
    cells = [row.id, text.clean(row.name), text.clean(row.who), text.clean(row.pool), before]
    return [*cells, _start(row.after, at)] if is_change else cells


def _start(seconds: float | None, at: float) -> str:
    if seconds is None:
        return "never"
    return "now" if seconds < 1 else f"in {text.duration(seconds)}, {text.when(at + seconds)}"


def _sums(found: Forecast, *, is_change: bool) -> list[str]:
    old = [row for row in found.rows if not row.is_new]
    lines = [_sum("as it is", [row.before for row in old])] if old else []
    if is_change and old:
        lines.append(_sum("with the changes", [row.after for row in old]))
    if new := [row.after for row in found.rows if row.is_new]:
        lines.append(_sum("what is submitted", new))
    known = ", ".join(f"{count} from {source}" for source, count in found.sources.items() if source != "assumed")
    guessed = found.sources.get("assumed", 0)
    guess = f"{guessed} assumed to run {text.duration(found.assumed)} (--assume)" if guessed else ""
    if known or guess:
        lines.append(f"run times: {'; '.join(part for part in (known, guess) if part)}")
    return lines


def _sum(title: str, starts: list[float | None]) -> str:
    waits = [start for start in starts if start is not None]
    never = len(starts) - len(waits)
    words = [f"{len(waits)} start"]
    if waits:
        words[0] += f", on average in {text.duration(sum(waits) / len(waits))}, the last in {text.duration(max(waits))}"
    if never:
        words.append(f"{never} never")
    return f"{title}: {'; '.join(words)}"


def as_json(found: Forecast) -> str:
    """Return the rows; ``before`` and ``after`` are seconds from now, null for never."""
    import msgspec  # noqa: PLC0415 - one of two ways

    document = {
        "jobs": [msgspec.structs.asdict(row) for row in found.rows],
        "run_times": {"sources": found.sources, "assumed_seconds": found.assumed},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
