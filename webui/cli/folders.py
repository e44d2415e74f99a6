"""The folders that a server or a command needs, made before anything slow happens."""

from __future__ import annotations

from webui.config import Settings
from webui.errors import ConfigurationError


def prepare_folders(settings: Settings) -> None:
    """Make the data directory and see that it can be written. Raises ConfigurationError."""
    for option, folder, mode in (
        ("--data-dir", settings.data_dir, 0o700),
        ("--models-dir", settings.models_dir, 0o777),
    ):
        try:
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigurationError(f"The folder {folder} ({option}) cannot be made: {reason}.") from error
