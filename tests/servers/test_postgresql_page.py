"""The commands of docs/postgresql.md, run as they stand on a server of the machine: a database, a dump, a restore."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collator.packet import Status
from collator.rules.resource import LedgerLimits
from tests.acceptance.programs import PATIENCE
from tests.acceptance.test_documents import ROOT, blocks
from tests.conformance.steps import due_one, finish, packet, send
from tests.servers.operator import OperatedServer

pytest.importorskip("asyncpg")

from collator.ledgers.postgresql import open_ledger
from collator.ledgers.postgresql.address import Address

BLOCKS = [block.text for block in blocks(ROOT / "docs" / "postgresql.md") if block.language == "sh"]


async def test_a_database_is_made_used_dumped_restored_and_sound(tmp_path: Path) -> None:
    server = OperatedServer()
    place = f"127.0.0.1:{server.port}"

    def run(text: str) -> str:
        programs = f"{server.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-ec", text.replace("db.internal", place)],
            cwd=tmp_path,
            env={"PATH": programs, "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "collator"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout

    made, restored = BLOCKS
    try:
        run(made)
        address = Address(f"postgresql://calls@{place}/calls")
        ledger = await open_ledger(address, ledger_limits=LedgerLimits(), route=lambda _: ["default"])
        await finish(ledger)
        assert await send(ledger, packet("open", 0)) == [Status.ACCEPTED]
        said = run(restored)
        sent = (await due_one(ledger)).webhook_id
        await ledger.aclose()
        assert said.endswith("sound\n")
        assert "2 resources" in said
        address = Address(f"postgresql://calls@{place}/restored")
        ledger = await open_ledger(address, ledger_limits=LedgerLimits(), route=lambda _: ["default"])
        assert await send(ledger, packet("open", 0), packet("open", 1)) == [Status.DUPLICATE, Status.ACCEPTED]
        assert (await due_one(ledger)).webhook_id == sent
        await ledger.aclose()
    finally:
        server.remove()
