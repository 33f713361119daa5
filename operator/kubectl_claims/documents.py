"""Files of manifests: YAML or JSON, one document or many, lists, folders, or what comes from a pipe."""

import sys
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from claims_operator.api import names
from kubectl_claims.errors import Trouble
from kubectl_claims.objects import Object

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
PIPE: Final = Path("-")


@dataclass(frozen=True, kw_only=True)
class Document:
    """One object and where it was read."""

    source: str
    """File and line, as in ``claim-risk.yaml:12``."""
    content: Object

    @property
    def is_claims_model(self) -> bool:
        """Whether it is of our kind, in whatever version."""
        group = str(self.content.get("apiVersion", "")).rpartition("/")[0]
        return group == names.CLAIMS_MODEL.group and self.content.get("kind") == names.CLAIMS_MODEL.kind


class _Loader(yaml.SafeLoader):
    """Reads as kubectl does: dates stay text, and a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping; raise where a key is there twice."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(paths: tuple[Path, ...]) -> Iterator[Document]:
    """Yield every object in the files and folders; ``-`` is the pipe. Raise Trouble where one cannot be read."""
    for path in paths:
        if path == PIPE:
            yield from _parse("(pipe)", sys.stdin.read())
            continue
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
        for file in files:
            try:
                text = file.read_text(encoding="utf-8")
            except OSError as error:
                raise Trouble(f"{file} cannot be read: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise Trouble(f"{file} is no text in UTF-8 (byte {error.start})") from error
            yield from _parse(str(file), text)


def _parse(source: str, text: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            content = None if node is None else loader.construct_document(node)
            if node is not None and content is not None:
                yield from _objects(f"{source}:{node.start_mark.line + 1}", content)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise Trouble(f"{source}{line} is no YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise Trouble(f"{source} is no YAML: {str(error).splitlines()[0]}") from error
    finally:
        loader.dispose()


def _objects(source: str, content: object) -> Iterator[Document]:
    if not isinstance(content, dict):
        raise Trouble(f"{source} holds no Kubernetes object, but {type(content).__name__}")
    if str(content.get("kind", "")).endswith("List") and isinstance(content.get("items"), list):
        for item in content["items"]:
            yield from _objects(source, item)
    else:
        yield Document(source=source, content=content)


def read_models(paths: tuple[Path, ...]) -> tuple[Document, ...]:
    """Return the ClaimsModels in the files; raise Trouble where there is none: then nothing was checked."""
    found = tuple(document for document in read(paths) if document.is_claims_model)
    if not found:
        raise Trouble(f"there is no ClaimsModel in {', '.join(map(str, paths))}")
    return found
