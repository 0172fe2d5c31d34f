"""What all peers take, and where they keep it."""

import os

from pydantic import BaseModel

BROKER = os.environ["PEER_BROKER"]
DATABASE = os.environ["PEER_DATABASE"]  # a URL with the database in its path
NAME = DATABASE.rpartition("/")[2]
QUEUE = os.environ["PEER_QUEUE"]


class Request(BaseModel):
    text: str
    words: list[str]
