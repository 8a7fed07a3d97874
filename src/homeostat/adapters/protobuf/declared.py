"""Message classes from a few lines of declaration, for senders of which only some fields are read.

Fields that are not declared are skipped, as protocol buffers promise.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = re.compile(r"(?:(repeated) )?(\w+) (\w+) = ([0-9]+)")
_KIND = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "double": _KIND.TYPE_DOUBLE, "int32": _KIND.TYPE_INT32, "int64": _KIND.TYPE_INT64, "uint64": _KIND.TYPE_UINT64,
    "string": _KIND.TYPE_STRING,
}  # fmt: skip


def message_classes(package: str, declared: Mapping[str, str]) -> dict[str, Any]:
    """The class of each message.

    declared : message -> its fields as in a .proto file, divided by semicolons, such as "repeated Label labels = 1";
        a type that is no scalar is another message of the package
    Raises ValueError if a field can't be read.

    >>> Label = message_classes("example", {"Label": "string name = 1; string value = 2"})["Label"]
    >>> Label.FromString(Label(name="job", value="node").SerializeToString()).value
    'node'
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in declared.items():
        message = file.message_type.add(name=name)
        for text in fields.split(";"):
            if (match := _FIELD.fullmatch(text.strip())) is None:
                raise ValueError(f"{text.strip()!r} is no field: write `TYPE NAME = NUMBER`")
            repeated, kind, field, number = match.groups()
            made = message.field.add(
                name=field, number=int(number), label=_KIND.LABEL_REPEATED if repeated else _KIND.LABEL_OPTIONAL
            )
            if kind in _SCALARS:
                made.type = _SCALARS[kind]
            else:
                made.type, made.type_name = _KIND.TYPE_MESSAGE, f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in declared}


@functools.cache
def status_class() -> Any:
    """The message with which servers say in protobuf why they refuse: google.rpc.Status, without its details."""
    return message_classes("google.rpc", {"Status": "int32 code = 1; string message = 2"})["Status"]
