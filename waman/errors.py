"""Every error that a user can cause, as one tree. `exit_code` is what the command line ends with.

WamanError                 2
├── RecipeError            a recipe field is misspelt, of the wrong type or out of range
│   └── DivergedError      training with it gave a loss that is no longer finite
├── InputError             an input is missing, unreadable, forbidden or unrecognised, or holds nothing to read
├── DamagedError           more records are damaged than the recipe allows
├── ArtifactError          an artifact directory cannot be used as it is
│   ├── StaleError         it was made from another recipe or other inputs
│   ├── LockedError        another process is writing it
│   └── KindError          it is of another kind than the one needed
├── NoSpaceError           the disk is full
├── PromptError            a prompt does not fit the model
├── ExtraError             an optional package is missing
└── WorkerError            1, a worker process failed for a reason that is ours
"""


class WamanError(Exception):
    """Says what was found, what was expected and what to do."""

    exit_code = 2


class RecipeError(WamanError):
    """A recipe field is misspelt, of the wrong type or out of range."""


class DivergedError(RecipeError):
    """Training with this recipe gave a loss or a gradient that is no longer finite."""


class InputError(WamanError):
    """An input is missing, unreadable, forbidden or unrecognised, or holds nothing to read."""


class DamagedError(WamanError):
    """More records are damaged than the recipe allows."""


class ArtifactError(WamanError):
    """An artifact directory cannot be used as it is."""


class StaleError(ArtifactError):
    """The directory was made from another recipe, other inputs or another version of the door."""


class LockedError(ArtifactError):
    """Another process is writing the directory."""


class KindError(ArtifactError):
    """The artifact is of another kind than the one needed."""


class NoSpaceError(WamanError):
    """The disk is full; what was written whole is kept."""


class PromptError(WamanError):
    """A prompt does not fit the model."""


class ExtraError(WamanError):
    """An optional package is missing; the message names the extra to install."""


class WorkerError(WamanError):
    """A worker process failed for a reason that is not the user's."""

    exit_code = 1
