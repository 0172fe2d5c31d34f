"""Real text on every machine with Python: the sources of the standard library, and this project's docs."""

import re
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 1024 * 1024
OURS = Path(__file__).parents[2]


@dataclass(frozen=True)
class Corpus:
    """`files` sources, joined and repeated. `counts`: the number of occurrences of each word, counted file by file."""

    files: int
    joined: bytes
    repeats: int
    counts: dict[str, int]

    @property
    def size(self) -> int:
        return len(self.joined) * self.repeats

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes, a MiB at a time."""
        for _ in range(self.repeats):
            for start in range(0, len(self.joined), CHUNK_BYTES):
                yield self.joined[start : start + CHUNK_BYTES]


def read_corpus(words: Sequence[str], size: int) -> Corpus:
    """At least `size` bytes of text, and the counts of these words by a plain regular expression.

    Slow and simple, and independent of the search that it is compared with.
    """
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")
    counts: Counter[str] = Counter()
    parts: list[bytes] = []
    total = 0
    for path in _sources():
        try:
            text = path.read_bytes()
            counts.update(pattern.findall(text.decode()))
        except (OSError, UnicodeDecodeError):
            continue
        parts.append(text + b"\n")
        total += len(text) + 1
        if total >= size:
            break
    repeats = -(-size // total)
    return Corpus(len(parts), b"".join(parts), repeats, {word: counts[word] * repeats for word in words})


def _sources() -> Iterator[Path]:
    for page in [OURS / "README.md", *sorted(OURS.glob("docs/**/*.md"))]:
        if page.is_file():  # missing in an installed package
            yield page
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" not in path.parts:
            yield path
