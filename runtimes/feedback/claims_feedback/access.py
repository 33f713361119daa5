"""Who may do what: bearer tokens, one file of them for each right."""

import hmac

from claims_feedback import errors, settings
from claims_feedback.answers import Reason, Refused


def authorize(authorization: str, token_file: str, *, right: str) -> None:
    """Refuse a caller whose Authorization header has none of the tokens in a file; ``right`` says what for.

    The file is read every time, so that tokens are changed without a restart. Raises `answers.Refused`, and
    `errors.TokensUnavailable` where the file cannot be read.
    """
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise Refused(
            401,
            Reason.UNAUTHORIZED,
            f"Only those with a token may {right}: send `Authorization: Bearer <token>`.",
            headers={"www-authenticate": "Bearer"},
        )
    try:
        tokens = settings.read_tokens(token_file)
    except errors.CannotStart as error:
        raise errors.TokensUnavailable(str(error)) from error
    sent = given.strip().encode()
    # Each is compared in constant time, and all of them: how long it takes tells nothing.
    if not sum(hmac.compare_digest(sent, token.encode()) for token in tokens):
        raise Refused(403, Reason.FORBIDDEN, f"This token may not {right}.")
