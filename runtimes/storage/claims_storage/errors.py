"""What can go wrong while a package is brought.

* StorageError
  + InvalidAddress      # the URI or the environment; somebody must correct it
  + NotFound            # MLflow has no such version, or no files for it
  + RegistryUnavailable # MLflow did not answer, after all retries; the init container is started again
  + Mismatch            # the files are not those that were registered; nothing is put in place
  + DestinationInUse    # the folder holds files that are not of this package
"""


class StorageError(Exception):
    """The package cannot be put in place; the message is one sentence for the person who deployed it."""


class InvalidAddress(StorageError):
    """The URI or the address of MLflow cannot be used."""


class NotFound(StorageError):
    """MLflow does not have what the URI names."""


class RegistryUnavailable(StorageError):
    """MLflow gave no usable answer, however often it was asked."""


class Mismatch(StorageError):
    """A file, or the list of files, is not what was registered."""


class DestinationInUse(StorageError):
    """The destination holds files of something else."""
