"""What all API types have in common."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def config(*rules: dict[str, str], **extra: Any) -> ConfigDict:
    """Return the configuration of an API type; ``rules`` become its ``x-kubernetes-validations``."""
    if rules:
        extra["x-kubernetes-validations"] = list(rules)
    return ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, json_schema_extra=extra or None)


class ApiModel(BaseModel):
    """Base of all API types: immutable, camelCase on the wire."""

    model_config = config()
