"""The plot of docs/scheduling.md: the longest wait of jobs by their width, as SVG without any library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

Waits = Mapping[int, float]  # cores, a power of two -> seconds

_WIDTH, _HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 200, 28, 44
_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#9c6b4e", "#97bbf5")
_HOUR = 3600.0


def svg(title: str, curves: Mapping[str, Waits]) -> str:
    """Return a plot with one curve for each scheduler, on logarithmic axes. Waits of less than a minute are drawn as one."""
    widths = sorted({width for waits in curves.values() for width in waits})
    longest = max((wait for waits in curves.values() for wait in waits.values()), default=_HOUR) / _HOUR
    low, high = math.log10(60 / _HOUR), math.ceil(math.log10(max(longest, 1.0)))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def across(width: int) -> float:
        return _LEFT + widths.index(width) * (right - _LEFT) / max(1, len(widths) - 1)

    def up(seconds: float) -> float:
        return bottom - (math.log10(max(60.0, seconds) / _HOUR) - low) / (high - low) * (bottom - _TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(title)}</text>',
    ]
    for power in range(-1, high + 1):
        y = up(10.0**power * _HOUR)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} h</text>')
    for width in widths:
        parts.append(f'<text x="{across(width):.1f}" y="{bottom + 18}" text-anchor="middle">{width}</text>')
    parts.append(
        f'<text x="{(_LEFT + right) / 2}" y="{bottom + 36}" text-anchor="middle">cores of the job, up to</text>'
    )
    for number, (name, waits) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{across(width):.1f},{up(wait):.1f}" for width, wait in sorted(waits.items()))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = _TOP + 14 + 20 * number
        parts.append(
            f'<line x1="{right + 16}" y1="{y}" x2="{right + 36}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        )
        parts.append(f'<text x="{right + 42}" y="{y + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
