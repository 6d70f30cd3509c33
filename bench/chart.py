"""A bar chart as SVG, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
LEFT = 150
RIGHT = 230
BAR = 26
GAP = 10

STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .label, .value { font-size: 13px; }
  .value { font-variant-numeric: tabular-nums; font-weight: 600; }
  .note { font-size: 12px; fill: #59636e; }
  .axis { stroke: #d1d9e0; stroke-width: 1; }
  .ours { fill: #0969da; }
  .other { fill: #a8b1bb; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .axis { stroke: #3d444d; }
    .ours { fill: #4493f8; }
    .other { fill: #59636e; }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it is, how long, what is written at its end."""

    label: str
    value: float
    text: str
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that share a scale."""

    title: str
    bars: Sequence[Bar]


def draw(groups: Sequence[Group], note: str = "") -> str:
    """The SVG of the groups, one under the other, with a line of small print."""
    parts: list[str] = []
    y = 8
    for group in groups:
        y += 18
        parts.append(f'<text class="title" x="12" y="{y}">{escape(group.title)}</text>')
        y += 14
        top = y
        most = max((bar.value for bar in group.bars), default=0.0) or 1.0
        for bar in group.bars:
            length = max(2.0, (WIDTH - LEFT - RIGHT) * bar.value / most)
            middle = y + BAR / 2 + 4.5
            kind = "ours" if bar.ours else "other"
            parts += [
                f'<text class="label" x="{LEFT - 12}" y="{middle}" text-anchor="end">'
                f"{escape(bar.label)}</text>",
                f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>',
                f'<text class="value" x="{LEFT + length + 8:.1f}" y="{middle}">'
                f"{escape(bar.text)}</text>",
            ]
            y += BAR + GAP
        parts.append(
            f'<line class="axis" x1="{LEFT - 0.5}" x2="{LEFT - 0.5}" y1="{top - 4}" y2="{y - GAP + 4}"/>'
        )
        y += 12
    if note:
        y += 6
        parts.append(f'<text class="note" x="12" y="{y}">{escape(note)}</text>')
    height = y + 14
    described = escape("; ".join(group.title for group in groups), quote=True)
    body = "\n".join("  " + part for part in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="{described}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )
