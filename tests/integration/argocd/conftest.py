"""The world around one ClaimsModel that the operator's own tests use."""

from integration.claims_operator.conftest import world

__all__ = ["world"]
