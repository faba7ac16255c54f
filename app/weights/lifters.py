"""From a lifter's name to its file of weights."""

from __future__ import annotations

from pathlib import Path

from sasmamba.app import weights
from sasmamba.common.errors import UserError

#: The shipped lifter that runs unless another is asked for.
DEFAULT_LIFTER = "sasmamba-lean"
#: The one that live runs take, which see so many frames of the future at most: it knows the ends of windows alone.
LIVE_LIFTER, _LIVE_LOOKAHEAD = "sasmamba-lean-live", 15


def live_lifter(lookahead: int) -> str:
    """The shipped lifter of a live run unless another is asked for; `lookahead` in frames.

    It was trained on the newest frames of short windows, see training/configs/lean-live.toml.
    """
    return LIVE_LIFTER if lookahead <= _LIVE_LOOKAHEAD else DEFAULT_LIFTER


def lifter_path(name: str) -> Path:
    """The file of a shipped lifter, its checksum verified, or of a checkpoint by path (a name with a suffix).

    Raises:
        UserError: there is none, with what to do.
    """
    if name.endswith(".safetensors"):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"There is no file {path}: check the name and the folder.", exit_code=2)
        return path
    shipped = lifters()
    if name in shipped:
        return weights.ensure(name)
    from sasmamba.models.posemamba import POSEMAMBA

    if name in POSEMAMBA:
        raise UserError(_no_weights(name), exit_code=2)
    there = f"there is {shipped[0]}" if len(shipped) == 1 else f"there are {', '.join(shipped)}"
    raise UserError(
        f"There is no lifter called {name!r}; {there}. One of your own is named by its .safetensors file.", exit_code=2
    )


def lifters() -> tuple[str, ...]:
    """Names of the shipped lifters."""
    return tuple(entry.name for entry in weights.entries() if entry.file.endswith(".safetensors"))


def _no_weights(name: str) -> str:
    """What to do for a lifter of a paper that no weights are shipped of."""
    config = "posemamba" if name == "posemamba-s" else f'a copy of training/configs/posemamba.toml, variant "{name}"'
    return (
        f"No weights of PoseMamba-{name[-1].upper()} are shipped: train it (`sasmamba-demo train --config`, "
        f"{config}) and pass --lifter its .safetensors file, or leave --lifter out for a shipped one."
    )
