"""A curve over a logarithmic axis as an SVG file: no script, no font, light and dark."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from waman.planning.law import amount

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 34, 52
_STYLE = """svg{font:13px system-ui,sans-serif;background:#fff;fill:#333}
line{stroke:#ccc}path{fill:none;stroke:#1f6feb;stroke-width:2}circle{fill:#c2410c}.chosen{fill:#c2410c;font-weight:600}
@media(prefers-color-scheme:dark){svg{background:#161616;fill:#ddd}line{stroke:#444}path{stroke:#79b8ff}}"""


def draw(
    xs: Sequence[float],
    ys: Sequence[float],
    mark: tuple[float, float, str],
    *,
    x_label: str,
    y_label: str,
    y_is_logarithmic: bool,
) -> str:
    """A line through (x, y) with one marked and named place; x, and y where said so, on logarithmic axes."""
    scale = math.log10 if y_is_logarithmic else float
    left, right = math.log10(min(xs)), math.log10(max(xs))
    floor, ceiling = min(map(scale, [*ys, mark[1]])), max(map(scale, ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (math.log10(x) - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (scale(y) - floor) / ((ceiling - floor) or 1.0) * (HEIGHT - TOP - BOTTOM)
        return across, down

    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(x, y) for x, y in zip(xs, ys, strict=True)))
    parts = [f'<path d="M{line}"/>']
    for x in _round_values(min(xs), max(xs)):
        across, _ = place(x, ys[0])
        parts.append(_rule(across, TOP, across, HEIGHT - BOTTOM))
        parts.append(_text(across, HEIGHT - BOTTOM + 18, amount(x), "middle"))
    for y in _round_values(min(ys), max(ys)) if y_is_logarithmic else _even_values(floor, ceiling):
        _, down = place(xs[0], y)
        parts.append(_rule(LEFT, down, WIDTH - RIGHT, down))
        parts.append(_text(LEFT - 8, down + 4, f"{y:.3g}", "end"))
    across, down = place(mark[0], mark[1])
    parts.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="5"/>')
    parts.append(_text(across, down - 12, mark[2], "middle", "chosen"))
    parts += [_text(LEFT, 18, y_label, "start"), _text(WIDTH - RIGHT, HEIGHT - 10, x_label, "end")]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    return f"{head}<title>{escape(f'{y_label} over {x_label}')}</title><style>{_STYLE}</style>{''.join(parts)}</svg>\n"


def _round_values(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]


def _even_values(low: float, high: float) -> list[float]:
    return [low + (high - low) * part / 4 for part in range(5)]


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str | None = None) -> str:
    kind = "" if kind is None else f' class="{kind}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(text)}</text>'
