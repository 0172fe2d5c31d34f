"""What goes into a word search, and what comes out."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MIB = 1024 * 1024

Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\r\n\x00]+$")]
Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
TextName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00]+$"),
    Field(json_schema_extra={"format": "text-name"}),  # the live page offers the stored texts for it
]


class Request(BaseModel):
    """Find words in stored texts, or in one text sent along."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "The swarm hums.\nA swarm of bees.", "words": ["swarm", "bees"]},
                {"texts": ["books/**"], "words": ["liberté"], "ignore_case": True, "ignore_accents": True},
            ]
        },
    )

    words: list[Word] = Field(min_length=1, max_length=1000, description="what to look for; each is counted by itself")
    texts: list[TextName] = Field(
        default=[],
        max_length=10_000,
        description="names of stored texts, or globs over them (`*`, `?`; `**` crosses folders)",
    )
    text: str | None = Field(default=None, description="instead of `texts`: the text itself")
    ignore_case: bool = Field(default=False, description="Unicode simple case folding, so `É` equals `é`")
    ignore_accents: bool = Field(
        default=False,
        description="`e` equals `é`, composed or decomposed; letters of scripts without accents stay whole",
    )
    whole_words: bool = Field(default=True, description="`art` is not found in `party`")
    positions: int = Field(default=3, ge=0, le=100, description="how many first places to report per word and text")
    pause_seconds: float = Field(
        default=0.0, ge=0.0, le=3600.0, description="each task sleeps this long: stands for heavy work"
    )
    piece_bytes: int = Field(
        default=32 * MIB,
        ge=64,
        le=1024 * MIB,
        description="longer texts are cut into tasks of this many bytes",
    )

    @model_validator(mode="after")
    def _texts_or_text(self) -> "Request":
        if (self.text is None) == (not self.texts):
            raise ValueError("give either `texts` or `text`")
        return self


class TaskInput(BaseModel):
    """Bytes `start` to `end` of a stored text in the version `etag`; an empty `name` means the request's own text."""

    name: str
    etag: str
    start: int
    end: int


class Position(BaseModel):
    """Where a match starts. `line` and `column` count from 1, `column` in characters; `snippet` is its surroundings."""

    line: int
    column: int
    snippet: str


class WordMatches(BaseModel):
    """One word in one text."""

    count: int = 0
    positions: list[Position] = []


class TaskResult(BaseModel):
    """One piece. Lines count from the piece's start; the last two numbers let a merge count from the text's."""

    name: str
    words: dict[str, WordMatches]
    encoding: Encoding = "utf-8"
    invalid_bytes: int = 0
    lines: int = Field(default=0, description="line ends in the piece")
    last_line: int = Field(default=0, description="characters after the last line end")


class TextMatches(BaseModel):
    """One text."""

    words: dict[str, WordMatches]
    encoding: Encoding = Field(default="utf-8", description="by its byte order mark; without one, UTF-8")
    invalid_bytes: int = Field(
        default=0, description="bytes that are not in this encoding; searched as they are (UTF-8) or as U+FFFD"
    )


class Result(BaseModel):
    """What the job found: totals, and for each text the words that stand in it."""

    kind: Literal["words"] = "words"
    counts: dict[str, int]
    texts: dict[str, TextMatches]
