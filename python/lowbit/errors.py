"""What can go wrong. Every message says what, where and what to do."""


class LowbitError(Exception):
    """Any error of this package."""


class NotAResultsFolder(LowbitError):
    """The folder is not there, or holds no sweep."""


class DamagedFile(LowbitError):
    """A file was changed or cut short since the program wrote it."""


class ProgramNotFound(LowbitError):
    """There is no lowbit program to call."""


class ProgramFailed(LowbitError):
    """The program ended with an error; `status` is its exit status, `output` what it printed."""

    def __init__(self, message, status, output):
        super().__init__(message)
        self.status, self.output = status, output


class LowbitWarning(UserWarning):
    """The results are there, but not all of them."""
