#!/usr/bin/env python3
"""Writes the table of values in charts/shekara/README.md anew, from values.yaml and its comments; with --check, says whether it differs."""

import json
import pathlib
import re
import sys

CHART = pathlib.Path(__file__).parent / "shekara"
BEGIN, END = "<!-- values: written by charts/readme.py -->\n", "<!-- end of values -->\n"


def is_group(schema, path):
    """Whether a value consists of named values, and is not one of a kind that Kubernetes defines."""
    node = schema
    for key in path:
        node = node["properties"][key]
        name = node.get("$ref", "").rpartition("/")[2]
        if name:
            node = schema["definitions"][name]
        if name == "resources":
            return False
    return "properties" in node


def values():
    """Each value of values.yaml: its path, its default as it is written there, and its comment."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    found, path, comment = [], [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        indentation, key, default = re.match(r"( *)(?:([A-Za-z]+):)?(.*)", line).groups()
        if key is None:
            comment = [*comment, line.strip().removeprefix("# ")] if line.strip().startswith("#") else []
            continue
        parents = path[: len(indentation) // 2]
        if not is_group(schema, parents):
            found[-1][1].append(line.strip())
            continue
        path = [*parents, key]
        if not is_group(schema, path):
            found.append((".".join(path), [default.strip()] if default else [], " ".join(comment)))
            comment = []  # that of a group stands before the first of its values
    return [(name, default[0] if len(default) == 1 else "{" + ", ".join(default) + "}", said) for name, default, said in found]


def table():
    rows = [f"| `{name}` | `{default}` | {said.replace('|', '&#124;')} |\n" for name, default, said in values()]
    return "".join(["| value | default | meaning |\n|---|---|---|\n", *rows])


def main():
    file = CHART / "README.md"
    before, _, rest = file.read_text().partition(BEGIN)
    text = before + BEGIN + "\n" + table() + "\n" + END + rest.partition(END)[2]
    if text == file.read_text():
        return 0
    if "--check" in sys.argv:
        print("charts/shekara/README.md does not have the values of values.yaml: run charts/readme.py", file=sys.stderr)
        return 1
    file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
