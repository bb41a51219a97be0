"""The commands and the Python of a page in docs/, which tests run as a reader types them."""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from tests.support import programs

# Pages in docs/ whose commands tests/wheel_test.py runs, in an order in which each finds what it needs.
OF_COMMANDS = ("command_line", "defenses", "certificates", "studies", "ace")


class Block(NamedTuple):
    """One command, or one block of Python."""

    language: str  # "python" or "command"
    text: str


def blocks(name: str) -> Iterator[Block]:
    r"""The blocks of Python and the commands of a page, in order; lines of a command that end in \ are one.

    Args:
      name: of the page, from the root of the checkout.
    """
    text = (programs.ROOT / name).read_text()
    fence = r"^```python\n(?P<python>.*?)^```"
    command = r"^(?:    )?(?P<command>(?:python -m |tfrobust [a-z-]+ --)(?:[^\n`]*\\\n)*[^\n`]*)$"
    for found in re.finditer(f"{fence}|{command}", text, re.MULTILINE | re.DOTALL):
        language = found.lastgroup
        yield Block(language, found[language] if language == "python" else found[language].replace("\\\n", " "))


def commands(name: str, beginning: str) -> list[list[str]]:
    r"""The indented commands of a page that begin so, as lists of words; lines that end in \ go on.

    Args:
      name: of the page.
      beginning: a regular expression.
    """
    text = (programs.ROOT / "docs" / name).read_text()
    found = re.findall(rf"^    ({beginning} (?:.*\\\n)*.*)", text, re.MULTILINE)
    return [shlex.split(block.replace("\\\n", " ")) for block in found]


def shortened(code: str) -> str:
    """Python of a page with short trainings, on few digits."""
    code = re.sub(r"epochs=\d\d", "epochs=5", re.sub(r"epochs=\d\b", "epochs=1", code))
    code = code.replace('"digits", "train")', '"digits", "train").take(400)')
    return code.replace('"digits", "test")', '"digits", "test").take(50)')
