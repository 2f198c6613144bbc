"""A call that a Celery worker has made has a span, of the time that it tells of."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.trace import StatusCode

from collator.client import Client
from collator.service import open_service
from collator.settings import from_keywords
from collator.workers.celery.messages import JobFailure, NotBegun
from tests.celery.scripted_worker import ScriptedWorker
from tests.harness.spans import exported, own, parent, seconds
from tests.wait import until


async def test_each_answer_of_a_call_is_a_span(
    tmp_path: Path, url: str, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"data_dir": tmp_path, "webhook": "none", "port": 0, "workers": "celery", "broker": url, "tracing": True}
    with exported(monkeypatch) as spans:
        async with open_service(from_keywords(given)) as service, Client(service.url) as client:
            await client.send([{"resource_id": "r", "index": 0, "payload": 0}])
            await worker.answer(await worker.job(), {0: NotBegun()})
            await worker.answer(await worker.job())
            await until(lambda: spans.named("process"))
            await client.send([{"resource_id": "r", "index": 1, "payload": 1}])
            await worker.answer(await worker.job(), {0: JobFailure("no good")})
            await until(lambda: len(spans.named("process")) == 2)
        good, bad = spans.named("process")
        assert [parent(span) for span in (good, bad)] == [own(span) for span in spans.named("send")]
        assert [(span.status.status_code, span.status.description) for span in (good, bad)] == [
            (StatusCode.UNSET, None),
            (StatusCode.ERROR, "no good"),
        ]
        assert seconds(good) == pytest.approx(0.001)
