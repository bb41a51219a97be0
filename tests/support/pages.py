"""The commands of a page in docs/, which tests run as a reader types them."""

import re
import shlex

from tests.support import programs


def commands(name: str, beginning: str) -> list[list[str]]:
    r"""The indented commands of a page that begin so, as lists of words; lines that end in \ go on.

    Args:
      name: of the page.
      beginning: a regular expression.
    """
    text = (programs.ROOT / "docs" / name).read_text()
    blocks = re.findall(rf"^    ({beginning} (?:.*\\\n)*.*)", text, re.MULTILINE)
    return [shlex.split(block.replace("\\\n", " ")) for block in blocks]
