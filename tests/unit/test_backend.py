"""The backends: which there are, and that the pipeline asks its ledger and its workers nothing but the seam."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Raw
from msgspec.structs import replace

from collator import ledgers, workers
from collator.cli.main import run
from collator.clock import SystemClock
from collator.errors import CollatorError, ConfigError, Unavailable, Vanished
from collator.interim import InterimOutputs
from collator.messages import Counts, DeliveryPage, Durability, NodeReport, Replication, Standby, StepResult
from collator.metrics import Metrics
from collator.packet import Packet
from collator.pipeline import STOPS_BESIDE_OTHERS, open_pipeline
from collator.rules.resource import LedgerLimits
from collator.seams.backend import LedgerBackend, WorkersBackend
from collator.seams.workers import Workers
from collator.service import open_service
from collator.service import run as serve
from collator.settings import OPTIONS, Settings, load
from collator.signals import stops
from tests.http import listener

SECRET = "hunter2"
MOMENT = "2026-11-24T02:05:00.000000Z"


def never() -> float:
    return 0.0


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("ledger", f"mysql://me:{SECRET}@db/calls", "'mysql' is not a supported ledger; use sqlite or postgresql://"),
        ("ledger", f"host=db password={SECRET}", "it is not a supported ledger; use sqlite or postgresql://"),
        ("ledger", "", "it is not a supported ledger; use sqlite or postgresql://"),
        ("ledger", f"postgresql://me:{SECRET}@db/calls", "has a password in it; put it into a file"),
        ("ledger", f"postgresql://db/calls?password={SECRET}", "has a password in it; put it into a file"),
        ("ledger", "postgresql:///calls", "names no host; write postgresql://USER@HOST"),
        ("workers", "dask", "'dask' is not a supported kind of workers; use local or celery"),
        ("workers", f"redis://:{SECRET}@db", "'redis' is not a supported kind of workers; use local or celery"),
        ("broker", f"http://me:{SECRET}@db", "http:// is not supported; write one of redis://…"),
        ("broker", f"redis://db;me:{SECRET}@db", "it is not supported; write one of redis://…"),
    ],
)
def test_a_kind_that_is_not_there_is_refused_in_words_without_its_password(
    tmp_path: Path, name: str, given: str, words: str
) -> None:
    config = tmp_path / "collator.toml"
    config.write_text(f'{name} = "{given}"\n')
    for source, arguments in (
        (f"--{name}", {"flags": {name: given}}),
        (f"COLLATOR_{name.upper()}", {"environ": {f"COLLATOR_{name.upper()}": given}}),
        (f"--config {config}", {"config": str(config)}),
    ):
        with pytest.raises(ConfigError) as refused:
            load(**{"environ": {}, **arguments})  # type: ignore[arg-type]
        assert refused.value.detail.startswith(source if "--config" not in source else str(config))
        assert words in refused.value.detail
        assert SECRET not in refused.value.detail


@pytest.mark.parametrize("command", ["serve", "config"])
def test_no_command_prints_the_password_of_a_ledger(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--ledger", f"postgresql://me:{SECRET}@db/calls?password={SECRET}"]) == 3
    printed = "".join(capfd.readouterr())
    assert "--ledger: the address of the database has a password in it" in printed
    assert SECRET not in printed


@pytest.mark.parametrize("name", ["ledger", "workers"])
def test_what_no_command_has_read_is_refused_by_the_service_with_the_flag(tmp_path: Path, name: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", webhook="none", **{name: f"mysql://:{SECRET}@db"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"--{name} does not name a supported") as refused:
        serve(settings)
    assert SECRET not in refused.value.detail


def test_a_service_that_cannot_start_leaves_the_signal_handlers_of_the_program(tmp_path: Path) -> None:
    def handler(*_: object) -> None:
        """Do nothing."""

    settings = Settings(data_dir=tmp_path / "data", webhook="none", ledger="mysql://db")
    before = {number: signal.signal(number, handler) for number in stops()}
    try:
        with pytest.raises(ConfigError):
            serve(settings)
        assert {signal.getsignal(number) for number in before} == {handler}
    finally:
        for number, was in before.items():
            signal.signal(number, was)


async def test_each_kind_of_which_the_settings_know_can_be_opened(tmp_path: Path) -> None:
    for kind in {*OPTIONS["ledger"].type.metavar.split("|")} - {"URL"}:  # which wants a server
        backend = await ledgers.open_backend(
            Settings(data_dir=tmp_path / kind, ledger=kind),
            ledger_limits=LedgerLimits(),
            clock=SystemClock(),
            route=lambda _: [],
            stood_still=never,
        )
        assert (backend.begun, backend.behind, backend.health(), backend.lost()) == (True, 0.0, None, None)
        await backend.aclose()
    for kind in OPTIONS["workers"].type.metavar.split("|"):
        settings = Settings(workers=kind, broker="redis://127.0.0.1:9/")
        opened = workers.open_backend(settings, clock=SystemClock(), stood_still=never)
        assert opened.separate is (kind == "celery"), "the processor of the defaults is a function"


def test_celery_workers_want_a_broker_and_the_name_of_a_processor() -> None:
    with pytest.raises(ConfigError, match="--workers celery needs a broker"):
        workers.open_backend(Settings(workers="celery"), clock=SystemClock(), stood_still=never)
    settings = Settings(workers="celery", broker="redis://127.0.0.1:9/")
    with pytest.raises(ConfigError, match="give its name as MODULE:FUNCTION"):
        workers.open_backend(settings, processor=len, clock=SystemClock(), stood_still=never)


@pytest.mark.parametrize(
    ("settings", "separate"),
    [
        ({}, False),
        ({"pool": "process"}, True),
        ({"processor": "http://127.0.0.1:9/"}, True),
        ({"processor": "asyncio:sleep"}, False),
    ],
)
def test_what_ends_a_call_ends_the_service_where_it_is_called_in_its_process(
    settings: dict[str, Any], separate: bool
) -> None:
    assert workers.open_backend(Settings(**settings), clock=SystemClock(), stood_still=never).separate is separate


async def test_the_free_space_of_the_disk_is_a_matter_of_the_sqlite_ledger(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", webhook="none", min_free_disk=2**60)
    async with open_pipeline(settings) as pipeline:
        refusal = pipeline.intake.refusal()
        assert refusal is not None
        assert "(min_free_disk)" in refusal.detail
        assert b"\ncollator_disk_free_bytes " in pipeline.metrics.text()
    assert b"disk" not in Metrics().text()


async def test_p5_what_would_wait_for_the_sqlite_ledger_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_pipeline(Settings(data_dir=tmp_path / "data", webhook="none", min_free_disk=1)) as pipeline:
        assert pipeline.intake.refusal() is None
        monkeypatch.setattr("collator.ledgers.sqlite.writer.Writer.stalled", lambda _: "a commit takes long")
        refusal = pipeline.intake.refusal()
    assert refusal is not None
    assert refusal.detail == "a commit takes long"


class Verbs:
    """The verbs that a pipeline without packets asks of a ledger."""

    away = False

    async def counts(self) -> Counts:
        if self.away:
            raise Unavailable
        return Counts()

    async def nodes(self, *, limit: int) -> Sequence[NodeReport]:
        node = NodeReport(id=1, name="web-1:4711", version="0.1.0", since=MOMENT, beat=0.5, leased=3, here=False)
        return [node, replace(node, id=2, name="web-2:42", leased=5, here=True)][:limit]

    async def deliveries(self, _wanted: object, **_: object) -> DeliveryPage:
        return DeliveryPage(deliveries=(), after=None)

    async def note(self, _act: object) -> None:
        pass

    async def paused(self) -> Mapping[str, object]:
        return {}

    async def due_endpoints(self) -> frozenset[str]:
        return frozenset()

    async def expire(self, **_: object) -> StepResult:
        return StepResult((), (), frozenset())

    async def work_due(self) -> bool:
        return False

    async def purge(self, *, limit: int) -> int:
        return 0


class Backend:
    """A ledger of no kind that there is, and what a test says of its health."""

    begun, behind = False, 0.0

    def __init__(self) -> None:
        self.ledger: Any = Verbs()
        self.why_unhealthy: str | None = None
        self.why_at_risk: Sequence[str] = ()
        self.why_refused: Unavailable | None = None
        self.gone: CollatorError | None = None
        self.watched: list[Metrics] = []
        self.closed = 0
        self.opened_with: dict[str, Any] = {}

    def watch(self, metrics: Metrics) -> None:
        self.watched.append(metrics)

    def health(self) -> str | None:
        return self.why_unhealthy

    def refusal(self) -> Unavailable | None:
        return self.why_refused

    def risks(self) -> Sequence[str]:
        return self.why_at_risk

    async def durability(self) -> Durability:
        standby = Standby(name="db-2", sync="sync", lag_seconds=None, lag_bytes=7)
        return Durability(
            store="shelf", risks=self.why_at_risk, replication=Replication.SYNCHRONOUS, standbys=[standby]
        )

    def lost(self) -> CollatorError | None:
        return self.gone

    async def aclose(self) -> None:
        self.closed += 1


class Crew:
    """Workers of no kind that there is."""

    separate = True
    wants_metadata = False
    interim = InterimOutputs()

    def __init__(self) -> None:
        self.idle = listener.Workers()
        self.opened_with: dict[str, Any] = {}
        self.given: tuple[object, ...] = ()

    def workers(
        self, ledger: object, outbox: object, *, metrics: Metrics, lease: float, tracing: object = None
    ) -> Workers:
        self.given = (ledger, outbox, metrics, lease)
        return self.idle


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    made = Backend()

    async def open_backend(_settings: Settings, **options: object) -> LedgerBackend:
        made.opened_with = options
        return made

    monkeypatch.setattr(ledgers, "open_backend", open_backend)
    return made


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Crew:
    made = Crew()

    def open_backend(_settings: Settings, **options: object) -> WorkersBackend:
        made.opened_with = options
        return made

    monkeypatch.setattr(workers, "open_backend", open_backend)
    return made


async def test_the_pipeline_stands_on_any_ledger_and_any_workers(tmp_path: Path, backend: Backend, crew: Crew) -> None:
    settings = Settings(data_dir=tmp_path / "data", webhook="none", min_free_disk=2**60)
    async with open_pipeline(settings) as pipeline:
        async with pipeline.at_work():
            assert (pipeline.readiness(), pipeline._accepting()) == ([], True)
        assert pipeline.ledger is backend.ledger
        assert crew.given == (backend.ledger, pipeline.outbox, pipeline.metrics, LedgerLimits().task_lease)
        assert backend.opened_with["stood_still"] == pipeline._beats.store.stood_still
        assert crew.opened_with["stood_still"] == pipeline._beats.process.stood_still
        assert backend.watched == [pipeline.metrics]
    assert backend.closed == 1
    assert not (tmp_path / "data" / "collator.db").exists()


@pytest.mark.parametrize("separate", [True, False])
async def test_suspects_run_side_by_side_where_a_call_cannot_end_the_service(
    backend: Backend, crew: Crew, separate: bool
) -> None:
    crew.separate = separate
    async with open_pipeline(Settings(webhook="none")):
        assert backend.opened_with["ledger_limits"].side_by_side == (STOPS_BESIDE_OTHERS if separate else 0)


@pytest.mark.parametrize("wants", [True, False])
async def test_r29_metadata_is_handed_out_where_the_processor_wants_it(
    backend: Backend, crew: Crew, wants: bool
) -> None:
    crew.wants_metadata = wants
    async with open_pipeline(Settings(webhook="none")):
        assert backend.opened_with["ledger_limits"].hand_out_metadata is wants


async def test_p5_what_the_backend_refuses_is_refused_before_the_ledger_is_asked(backend: Backend, crew: Crew) -> None:
    async with open_pipeline(Settings(webhook="none")) as pipeline:
        backend.why_refused = Unavailable("no connection to the database", retry_after=3.0)
        with pytest.raises(Unavailable, match="no connection to the database") as refused:
            await pipeline.intake.accept([Packet("r", 0, Raw(b"0"))])
        assert refused.value.retry_after == 3.0
        backend.why_unhealthy = "no connection to the database"
        assert pipeline.readiness() == ["no connection to the database"], "each reason is told once"


@pytest.mark.parametrize("trouble", [{"why_refused": Unavailable("no connection")}, {"why_unhealthy": "no connection"}])
async def test_r13_no_idle_timeout_runs_while_the_backend_is_in_trouble(
    backend: Backend, crew: Crew, trouble: dict[str, Any]
) -> None:
    async with open_pipeline(Settings(webhook="none")) as pipeline:
        vars(backend).update(trouble)
        assert (pipeline.readiness(), pipeline._accepting()) == (["no connection"], False)


async def test_a_store_that_is_lost_ends_the_pipeline(backend: Backend, crew: Crew) -> None:
    backend.gone = Vanished("this node was given up by the others")
    with pytest.RaisesGroup(pytest.RaisesExc(Vanished, match="given up by the others")):
        async with open_pipeline(Settings(webhook="none")) as pipeline, pipeline.at_work():
            await pipeline.intake.draining.wait()
    assert backend.closed == 1


async def test_a_risk_that_was_accepted_is_told_to_all_and_a_store_that_is_away_keeps_no_status_back(
    tmp_path: Path, backend: Backend, crew: Crew
) -> None:
    del crew
    backend.why_at_risk = ["fsync is off"]
    settings = Settings(data_dir=tmp_path / "data", webhook="none", port=0)
    async with open_service(settings) as service, aiohttp.ClientSession(service.url) as session:

        async def ask(path: str) -> Any:  # noqa: ANN401 - JSON may be anything
            async with session.get(path) as answer:
                assert answer.status == 200
                return await (answer.json() if answer.content_type == "application/json" else answer.text())

        assert (await ask("/readyz"))["risks"] == ["fsync is off"]
        status = await ask("/v1/status")
        assert status["durability"] == {
            "store": "shelf",
            "away": [],
            "risks": ["fsync is off"],
            "replication": "synchronous",
            "standbys": [{"name": "db-2", "sync": "sync", "lag_seconds": None, "lag_bytes": 7}],
        }
        assert [node["name"] for node in status["nodes"]] == ["web-1:4711", "web-2:42"]
        metrics = await ask("/metrics")
        for line in (
            "collator_nodes 2.0",
            "collator_packets_leased 5.0",
            "collator_durability_risks 1.0",
            'collator_standby_lag_bytes{standby="db-2",sync="sync"} 7.0',
        ):
            assert line in metrics
        backend.why_unhealthy = "the server is away"
        backend.ledger.away = True
        status = await ask("/v1/status")
        assert (status["ready"], status["reasons"]) == (False, ["the server is away"])
        assert (status["stored"], status["durability"], status["nodes"]) == (None, None, [])
        assert "collator_nodes 0.0" in await ask("/metrics")
