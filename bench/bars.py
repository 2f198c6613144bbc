"""A plot of bars, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _TOP = 640, 210, 70, 11, 14, 44
_BLUE, _GREY = "#15c", "#999"


class Bar(NamedTuple):
    """One bar."""

    label: str
    value: float
    text: str
    """Of its value."""
    emphasis: bool = True


def bars(title: str, found: Sequence[Bar], *, mark: float | None = None) -> str:
    """Each bar of *found* below the one before, with a vertical line at the value *mark*, if any."""
    height = _TOP + len(found) * (_BAR + _GAP)
    unit = (_WIDTH - _LEFT - _RIGHT) / max([mark or 0.0, *(bar.value for bar in found)])
    box = f"0 0 {_WIDTH} {height}"
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="8" y="18">{title}</text>',
    ]
    if mark is not None:
        drawn.append(f'<path d="M{_LEFT + unit * mark:.1f} {_TOP - 10}V{height - 6}" stroke="#888"/>')
    for place, bar in enumerate(found):
        y = _TOP + place * (_BAR + _GAP)
        colour = _BLUE if bar.emphasis else _GREY
        drawn += [
            f'<text x="{_LEFT - 6}" y="{y + 9}" text-anchor="end">{bar.label}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{unit * bar.value:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<text x="{_LEFT + unit * bar.value + 5:.1f}" y="{y + 9}">{bar.text}</text>',
        ]
    return "\n".join([*drawn, "</svg>", ""])
