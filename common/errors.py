"""The one exception whose text is meant for a person."""

from __future__ import annotations


class UserError(Exception):
    """Something a person can mend. Its text is one sentence that says what to do; exit_code 1 failure, 2 usage."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
