"""A self-contained HTML page: one file with styles, script and charts, without network access."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

STATIC = Path(__file__).with_name("static")


def page(title: str, lead: str, parts: Iterable[str]) -> str:
    """The whole document. `title` and `lead` are text, `parts` are HTML."""
    style, script = ((STATIC / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body>"
        f'<header><h1>{escape(title)}</h1><p class="quiet">{escape(lead)}</p></header>\n'
        f"<main>\n{chr(10).join(parts)}\n</main>\n<script>\n{script}</script></body></html>\n"
    )


def tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    """The most important figures: name, value and a remark."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><small>{escape(word)}</small></div>"
        for name, value, word in entries
    )
    return f'<dl class="tiles">{cells}</dl>'


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> str:
    """A section with a table; the first column has the row headers."""
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "".join(
        f'<tr><th scope="row">{escape(str(first))}</th>{"".join(f"<td>{escape(str(cell))}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    about = f'<p class="quiet">{escape(note)}</p>' if note else ""
    return (
        f'<section><h2>{escape(title)}</h2>{about}<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def notice(sentences: Sequence[str], *, bad: bool = False) -> str:
    """A box of warnings; nothing if there are none."""
    if not sentences:
        return ""
    lines = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return f'<section class="notice{" bad" if bad else ""}" role="note">{lines}</section>'


def answer(sentences: Sequence[str]) -> str:
    """The conclusions of the page, the main one first."""
    first, *others = sentences or [""]
    return f"<section><h2>{escape(first)}</h2>{''.join(f'<p>{escape(sentence)}</p>' for sentence in others)}</section>"


def charts(figures: Iterable[str]) -> str:
    """Charts side by side, if there is room."""
    return f'<div class="charts">{"".join(figures)}</div>'
