"""``python -m kubectl_claims``."""

from kubectl_claims.cli import main

if __name__ == "__main__":
    main()
