"""Templates: whatever the packet is, the request is JSON, with the bytes of the payload in place."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import Permanent, ProcessorFailed
from collator.messages import Key, Lease, Task
from collator.processor.template import MOST_PLACEHOLDERS, Template

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["{{payload}}", "{{", "}}", '"', "\\", "\\u007b", "\n", "\ud7ff", "{{index}}"]
)
ids = texts.filter(lambda text: 0 < len(text.encode()) <= 255)
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
payloads = st.tuples(values, st.booleans(), st.sampled_from([None, 1])).map(
    lambda one: json.dumps(one[0], ensure_ascii=one[1], indent=one[2]).encode()
)
objects = st.none() | st.dictionaries(texts, values, max_size=3).map(lambda one: json.dumps(one).encode())
NAMES = ("payload", "resource_id", "index", "attempt", "metadata")


def task(
    payload: bytes = b"0",
    *,
    resource_id: str = "call-17",
    index: int = 4,
    attempt: int = 2,
    metadata: bytes | None = None,
) -> Task:
    return Task(Key(resource_id, b"g" * 16, index), payload, attempt, Lease(9, 9), metadata)


tasks = st.builds(
    task,
    payloads,
    resource_id=ids,
    index=st.integers(0, 999_999),
    attempt=st.integers(1, 101),
    metadata=objects,
)


def expected(part: Any, given: Task, values: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """*part* of a template, with *values* in it, made the slow way."""
    if isinstance(part, dict):
        return {name: expected(inner, given, values) for name, inner in part.items()}
    if isinstance(part, list):
        return [expected(inner, given, values) for inner in part]
    if not isinstance(part, str):
        return part
    whole = re.fullmatch(r"\{\{(\w+)\}\}", part)
    return values[whole[1]] if whole else re.sub(r"\{\{(\w+)\}\}", lambda found: as_text(given, found[1]), part)


def as_text(given: Task, name: str) -> str:
    raw = {
        "payload": given.payload.decode(),
        "resource_id": json.dumps(given.key.resource_id),
        "index": str(given.key.index),
        "attempt": str(given.attempt),
        "metadata": (given.metadata or b"{}").decode(),
    }[name]
    value = json.loads(raw)
    return value if isinstance(value, str) else raw


places = st.sampled_from([f"{{{{{name}}}}}" for name in NAMES])
plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}"), max_size=6)
fields = places | st.tuples(plain, places, plain, st.sampled_from(["", "{{index}}"])).map("".join) | plain
templates = st.recursive(
    fields | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=5,
).map(lambda inner: {"in": "{{payload}}", "more": inner})


@given(template=templates, given_task=tasks, escaped=st.booleans(), indent=st.sampled_from([None, 2]))
def test_r29_the_request_is_json_with_the_payload_in_place(
    template: dict[str, Any], given_task: Task, escaped: bool, indent: int | None
) -> None:
    text = json.dumps(template, ensure_ascii=escaped, indent=indent)
    body = Template(text).render(given_task)
    values = {
        "payload": json.loads(given_task.payload),
        "resource_id": given_task.key.resource_id,
        "index": given_task.key.index,
        "attempt": given_task.attempt,
        "metadata": json.loads(given_task.metadata or b"{}"),
    }
    assert json.loads(body) == expected(template, given_task, values)
    assert msgspec.json.decode(body, type=dict[str, msgspec.Raw])["in"] == msgspec.Raw(given_task.payload)


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ('"{{payload}}"', '{"text": "h\\"\u00e4\\n", "n": 1e2}'),
        ('{"a":"{{ payload }}"}', '{"a":{"text": "h\\"\u00e4\\n", "n": 1e2}}'),
        ('["{{payload/n}}", "{{payload/text}}"]', '[1e2, "h\\"\u00e4\\n"]'),
        ('["n={{payload/n}}", "say: {{payload/text}}!"]', '["n=1e2", "say: h\\"\u00e4\\n!"]'),
        ('["{{resource_id}}/{{index}}", "{{index}}", "{{attempt}}", "{{payload/n}}"]', '["call-17/4", 4, 2, 1e2]'),
        ('["{{metadata}}", "{{metadata/lang}}", "{{payload/n}}"]', '[{"lang":"de"}, "de", 1e2]'),
        ('["\\u007b{payload}}", "{{payload/n}}"]', '["\\u007b{payload}}", 1e2]'),
        ('["{payload}", "}}{", "{{payload/n}}"]', '["{payload}", "}}{", 1e2]'),
        ('{"a\\"": "x{{metadata}}", "b": "{{payload/n}}"}', '{"a\\"": "x{\\"lang\\":\\"de\\"}", "b": 1e2}'),
    ],
)
def test_r29_what_a_template_gives(template: str, body: str) -> None:
    given = task('{"text": "h\\"\u00e4\\n", "n": 1e2}'.encode(), metadata=b'{"lang":"de"}')
    assert Template(template).render(given).decode() == body


def test_a_resource_without_metadata_has_an_empty_object() -> None:
    assert Template('["{{metadata}}", "{{payload}}"]').render(task()) == b"[{}, 0]"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ('{"a": {{payload}}}', 'line 1, column 7: write a placeholder in quotes, as "{{payload}}"'),
        ("{{payload}}", 'line 1, column 1: write a placeholder in quotes, as "{{payload}}"'),
        ('{"a": "{{payloda}}"}', "line 1, column 8: 'payloda' is no placeholder; did you mean payload?"),
        ('{\n  "{{payload}}": 1}', "line 2, column 4: a placeholder cannot be the name of a member"),
        ('{"a": "{{payload"}', "line 1, column 8: a placeholder ends with }}"),
        ('{"a": "{{payload}} and {{"}', "line 1, column 24: a placeholder ends with }}"),
        ('{"a": "{{payload.speech.text}}"}', "did you mean payload/speech/text?"),
        ('{"a": "{{speech.text}}"}', "did you mean "),
        ('["{{payload}}", "{{index/0}}"]', "line 1, column 18: {{index}} is a single value; only payload and metadata"),
        ('{"a": 1}', "it has no {{payload}}"),
        ('{"a": "{payload}"}', "it has no {{payload}}"),
        ('{"a": "{{payload}}" 1}', "line 1, column 21: not JSON: "),
        ('{"a": "{{payload}}"', "line 1, column 20: not JSON: "),
        ("", "line 1, column 1: not JSON: "),
        ('{"a":\n "{{payload/~}}"}', "line 2, column 3: '/~' is not a JSON Pointer"),
        ('["{{payload}}", NaN]', "JSON is malformed: invalid character (byte 16)"),
        ('["{{payload}}", "\\ud83d"]', "half of a surrogate pair"),
        ('["{{payload}}", "\udc80"]', "half of a surrogate pair"),
        ('["{{payload}}", 1e999]', "Number out of range"),
        (f'["{"{{payload}}" * 33}"]', f"it has 33 placeholders, more than {MOST_PLACEHOLDERS}"),
        ("[" * 200 + '"{{payload}}"' + "]" * 200, "nested deeper than 128 levels"),
        ("[" * 100_000, "nested deeper than 128 levels"),
    ],
)
def test_r29_a_template_that_can_never_be_valid_is_refused_with_the_place(template: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Template(template)


def test_what_the_payload_lacks_is_its_fault_and_metadata_may_still_come() -> None:
    with pytest.raises(Permanent, match="processor_request: the payload has nothing at /text: the payload is a number"):
        Template('"{{payload/text}}"').render(task(b"5"))
    with pytest.raises(ProcessorFailed, match="the metadata has nothing at /lang") as late:
        Template('["{{payload}}", "{{metadata/lang}}"]').render(task())
    assert not isinstance(late.value, Permanent)


def test_only_a_template_that_has_metadata_asks_for_it() -> None:
    assert Template('["{{payload}}", "{{metadata/a}}"]').names == {"payload", "metadata"}
    assert Template('["{{payload}}", "metadata"]').names == {"payload"}
