"""Real programs as senders, where they are installed.

They are asked of no machine, so a test of one that is missing skips in CI too: what each of them writes is written by
raw sockets everywhere (tests/http/test_upgrade_offers.py, test_formats.py, test_whole_answers.py).
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.programs import PATIENCE, serving
from tests.http.listener import ndjson, packet
from tests.wait import until_sync

JSON, LINES = "content-type: application/json", "content-type: application/x-ndjson"


def wanted(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A service with room for three resources, and the directory of the files to send."""
    directory = tmp_path_factory.mktemp("senders")
    with service_beside_files(directory) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        connection.request(
            "POST", "/v1/packets", (directory / "one.json").read_bytes(), {"content-type": "application/json"}
        )
        assert connection.getresponse().status == 202, "so that there is room for this one, whichever test comes first"
        connection.close()
        yield url, directory


@contextmanager
def service_beside_files(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "one.json").write_bytes(json.dumps(packet(0)).encode())
    (tmp_path / "array.json").write_bytes(json.dumps([packet(1), packet(2)]).encode())
    (tmp_path / "two.ndjson").write_bytes(ndjson(packet(3), packet(4)))
    (tmp_path / "shell.ndjson").write_bytes(b"\xef\xbb\xbf" + ndjson(packet(5)).replace(b"\n", b"\r\n"))
    (tmp_path / "refused.ndjson").write_bytes(ndjson(*(packet(0, f"n{number}") for number in range(6))))
    with serving(tmp_path, "--max-open", "3", "--min-free-disk", "1B") as (_, url):
        yield url


def said(cwd: Path, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(arguments, cwd=cwd, input=stdin, capture_output=True, timeout=PATIENCE, check=False)
    return (done.stdout + done.stderr).decode()


CURL: dict[str, tuple[Sequence[str], str, str]] = {
    "http2 one": (("--http2", "-H", JSON, "--data-binary", "@one.json"), "", "20"),
    "http2 array": (("--http2", "-H", JSON, "--data-binary", "@array.json"), "", "20"),
    "http2 stream": (("--http2", "-H", LINES, "--data-binary", "@two.ndjson"), "", "20"),
    "http2 stream, chunked": (("--http2", "-X", "POST", "-H", LINES, "-T", "-"), "", "20"),
    "http2 with receipts": (("--http2", "-H", LINES, "--data-binary", "@two.ndjson"), "?receipts=all", "20"),
    "as it is by itself": (("-d", "@one.json"), "", "415"),
    "lines as JSON": (("-H", JSON, "--data-binary", "@two.ndjson"), "", "422"),
    "a file of PowerShell": (("-H", LINES, "--data-binary", "@shell.ndjson"), "", "20"),
    "expecting": (("-H", JSON, "-H", "expect: 100-continue", "--data-binary", "@one.json"), "", "20"),
    "beyond a limit": (("-H", LINES, "--data-binary", "@refused.ndjson"), "", "429"),
}


@wanted("curl")
@pytest.mark.parametrize("form", CURL)
def test_curl(shared: tuple[str, Path], form: str) -> None:
    url, tmp_path = shared
    options, query, status = CURL[form]
    stdin = (tmp_path / "two.ndjson").read_bytes()
    answer = said(tmp_path, "curl", "-sS", "-w", "\n%{http_code}", *options, f"{url}/v1/packets{query}", stdin=stdin)
    *lines, found = answer.split()
    assert found.startswith(status), answer
    if status == "20" and LINES in options:
        last = json.loads(lines[-1])
        assert (last["done"], last["malformed"]) == (True, 0)
        assert last["accepted"] + last["duplicate"] == last["decided_lines"] > 0


@wanted("curl")
def test_curl_that_goes_by_the_status_fails_where_a_packet_was_refused(shared: tuple[str, Path]) -> None:
    url, tmp_path = shared
    command = ["curl", "-fsS", "-H", LINES, "--data-binary", "@refused.ndjson", f"{url}/v1/packets"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False).returncode == 22


@wanted("wget")
def test_wget(shared: tuple[str, Path]) -> None:
    url, tmp_path = shared
    arguments = ("wget", "-q", "-S", "-O", "-", "--post-file=two.ndjson", f"{url}/v1/packets")
    assert " 415 " in said(tmp_path, *arguments)
    assert '"done":true,"decided_lines":2' in said(tmp_path, *arguments, f"--header={LINES}")


JAVA = """
import java.io.*; import java.net.URI; import java.net.http.*; import java.net.http.HttpRequest.BodyPublishers;
public class Send { public static void main(String[] given) throws Exception {
  HttpClient client = HttpClient.newHttpClient();
  byte[] body = System.in.readAllBytes();
  for (String target : new String[] {"/v1/packets", "/v1/packets?receipts=all"})
    for (var publisher : new HttpRequest.BodyPublisher[] {
        BodyPublishers.ofByteArray(body), BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))}) {
      var request = HttpRequest.newBuilder(URI.create(given[0] + target))
          .header("content-type", "application/x-ndjson").POST(publisher).build();
      var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
      System.out.println(answer.statusCode() + " " + answer.body().strip().lines().reduce((a, b) -> b).get());
  } } }
"""


@wanted("javac")
def test_java_whose_client_offers_http_2_with_every_request(shared: tuple[str, Path]) -> None:
    url, tmp_path = shared
    (tmp_path / "Send.java").write_text(JAVA)
    answers = said(tmp_path, "java", "Send.java", url, stdin=ndjson(packet(0), packet(1))).splitlines()
    statuses, summaries = zip(*(answer.split(" ", 1) for answer in answers), strict=True)
    assert statuses == ("200",) * 4
    told = [json.loads(summary) for summary in summaries]
    assert [(one["done"], one["accepted"] + one["duplicate"]) for one in told] == [(True, 2)] * 4


NODE = """
const source = async function* () { yield process.argv[3]; yield process.argv[4]; };
fetch(process.argv[2], {method: "POST", duplex: "half", headers: {"content-type": "application/x-ndjson"},
  body: ReadableStream.from(source()).pipeThrough(new TextEncoderStream())})
  .then(async answer => console.log(answer.status, await answer.text()));
"""


@wanted("node")
def test_node_whose_fetch_sends_a_stream(shared: tuple[str, Path]) -> None:
    url, tmp_path = shared
    (tmp_path / "send.js").write_text(NODE)
    first, second = ndjson(packet(0)).decode(), ndjson(packet(1)).decode()
    if said(tmp_path, "node", "-p", "typeof ReadableStream.from").strip() != "function":
        pytest.skip("this node has no streams for fetch")
    answer = said(tmp_path, "node", "send.js", f"{url}/v1/packets", first, second)
    assert answer.startswith("200 ")
    assert '"done":true,"decided_lines":2' in answer


SYSLOG_NG = """@version: 3.38
options {{ stats-freq(0); time-reopen(1); }};
source lines {{ file("{here}/refused.ndjson" flags(no-parse) follow-freq(1) read-old-records(yes)); }};
destination packets {{ http(url("{url}/v1/packets") method("POST") headers("Content-Type: application/x-ndjson")
  body("${{MESSAGE}}") batch-lines(3) batch-timeout(200) delimiter("\\n") workers(1) timeout(5)); }};
log {{ source(lines); destination(packets); flags(flow-control); }};
"""


@wanted("syslog-ng")
def test_syslog_ng_keeps_what_was_refused_until_there_is_room(tmp_path: Path) -> None:
    with service_beside_files(tmp_path) as url:
        send_by_syslog_ng(url, tmp_path)


def send_by_syslog_ng(url: str, tmp_path: Path) -> None:
    (tmp_path / "syslog-ng.conf").write_text(SYSLOG_NG.format(here=tmp_path, url=url))
    state = [f"--{name}={tmp_path / name}" for name in ("persist-file", "control", "pidfile")]
    with (tmp_path / "syslog-ng.log").open("wb") as log:
        program = ["syslog-ng", "-F", "-f", "syslog-ng.conf", *state]
        process = subprocess.Popen(program, cwd=tmp_path, stdout=log, stderr=log)
    try:
        for number in range(6):
            until_sync(lambda number=number: stored(url, tmp_path) > number, PATIENCE)  # type: ignore[misc]
            said(tmp_path, "curl", "-sS", "-X", "POST", f"{url}/v1/resources/n{number}/cancel")
    finally:
        process.terminate()
        process.wait(PATIENCE)


def stored(url: str, cwd: Path) -> int:
    """How many resources the service has known."""
    counts = json.loads(said(cwd, "curl", "-sS", f"{url}/v1/status"))["stored"]
    return int(counts["open"] + counts["cancelled"])
