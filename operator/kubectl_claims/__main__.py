"""``python -m kubectl_claims``, and what ``kubectl-claims`` and ``kubectl_complete-claims`` run."""

import sys


def main() -> None:
    """Run the command that the shell asks for."""
    try:
        from kubectl_claims import cli
    except ModuleNotFoundError as error:
        # The operator's own installation has no use for them.
        sys.exit(f"error: kubectl claims needs the package {error.name}; install claims-operator[cli]")
    cli.main()


def complete() -> None:
    """Write the candidates for the last argument."""
    from kubectl_claims import cli

    cli.complete_for_kubectl()


if __name__ == "__main__":
    main()
