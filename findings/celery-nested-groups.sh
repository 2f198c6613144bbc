#!/usr/bin/env bash
# Celery 5.7.0: the results of a group come in the order of its tasks, whichever ends first, and so does a chord hand
# them to its body. Groups in the header of a chord are made one flat list first. Seen: the tasks of each inner group
# stand in it backwards, so that the body is given "cba" and "fed" of two groups of "abc" and "def", in the order of the
# groups; with three levels it is "dcba" of "ab" and "cd". There is no error, and it is the same with Redis as the
# backend. With task_always_eager, as tests have it, the order is right. Whoever collates by place has to give the chord
# a flat list, or each result its index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check celery==5.7.0 kombu==5.7.0
cat >"$folder/ask.py" <<'PYTHON'
from celery import Celery, chord, group
from celery.contrib.testing.worker import start_worker

app = Celery(broker="memory://", backend="cache+memory://")
app.set_default()


@app.task
def same(letter):
    return letter


@app.task
def collate(letters):
    return "".join(letters)


def letters(text):
    return group([same.s(letter) for letter in text])


HEADERS = {
    "flat": lambda: letters("abcdef"),
    "two groups": lambda: [letters("abc"), letters("def")],
    "a group and a task": lambda: [letters("abc"), same.s("d")],
    "groups in a group": lambda: [group([letters("ab"), letters("cd")]), letters("ef")],
}


def collated():
    return {name: chord(header())(collate.s()).get(timeout=20) for name, header in HEADERS.items()}


with start_worker(app, perform_ping_check=False, pool="threads", concurrency=1):
    seen = collated()
app.conf.task_always_eager = True
eager = collated()
for name in HEADERS:
    print(f"{name}: {seen[name]} by a worker, {eager[name]} eagerly")
assert list(seen.values()) == ["abcdef", "cbafed", "cbad", "dcbafe"]
assert list(eager.values()) == ["abcdef", "abcdef", "abcd", "abcdef"]
PYTHON
"$folder/venv/bin/python" "$folder/ask.py"
