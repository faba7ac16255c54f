"""The one exception whose text is meant for a person, and what is made into it."""

from __future__ import annotations


class UserError(Exception):
    """Something a person can mend. Its text is one sentence that says what to do; exit_code 1 failure, 2 usage."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


#: How the libraries that have exceptions of no class of their own say it: ONNX Runtime, PyTorch on CPU and GPU, C++.
_NO_MEMORY = ("failed to allocate memory", "can't allocate memory", "out of memory", "bad_alloc", "bad allocation")


def memory_error(error: BaseException) -> UserError | None:
    """What to tell a person where memory ran out; None where it was something else."""
    said = str(error).lower()
    if not isinstance(error, MemoryError) and not any(words in said for words in _NO_MEMORY):
        return None
    return UserError(
        "There is too little memory: close other programs, or take less at once (a shorter part with --start and "
        "--end, fewer --jobs, a smaller video)."
    )
