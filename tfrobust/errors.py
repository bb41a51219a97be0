"""The one exception that says: the caller must change something, and this is what."""


class InputError(ValueError):
    """A wrong argument, file or model. The message names what was expected, what came, and the remedy.

    Programs turn it into one line on standard error and exit code 2; every other exception is a bug of ours
    and keeps its traceback.
    """


class EmptyShardError(InputError):
    """There are fewer examples than shards, so that this one has none of them: nothing is wrong, and nothing to do."""
