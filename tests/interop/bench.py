"""What every peer needs: a site with test keys and an endpoint for each protocol, the binary's two ends, and a running
gateway with an app behind it."""

import base64
import contextlib
import dataclasses
import http.client
import http.server
import json
import pathlib
import secrets
import socket
import string
import subprocess
import threading
import time
import typing

INTO = "made by the SDK, judged by wxgate"
OUT_OF = "made by wxgate, judged by the SDK"


@dataclasses.dataclass
class Case:
    name: str
    direction: str
    run: typing.Callable[[], None]


class NotSpoken(Exception):
    """The SDK knows no such message: then there is nothing to compare, and no case."""


@dataclasses.dataclass
class Message:
    """One callback as it is on the wire."""

    headers: dict
    body: bytes
    method: str = "POST"
    path: str = "/notify/shop-pay"
    query: str = ""

    def captured(self):
        return json.dumps(
            {
                "method": self.method,
                "path": self.path,
                "query": self.query,
                "headers": list(self.headers.items()),
                "body_b64": base64.b64encode(self.body).decode(),
            }
        )


@dataclasses.dataclass
class Account:
    """What the console of an account shows, and what `wxgate sim` calls its protocol."""

    protocol: str
    token: str
    aes_key: str
    receive_id: str


V2 = """
[endpoint.{name}]
path = "/notify/{name}"
protocol = "pay-v2"
sign_type = "{sign_type}"
keys.api_v2 = {{ file = "keys/apiv2.key" }}
expect = {{ mchid = ["{mchid}"], appid = ["{appid}"] }}
"""
PUSH = """
[endpoint.{name}]
path = "/notify/{name}"
protocol = "{protocol}"
{mode}
keys.token = {{ file = "keys/{name}.token" }}
keys.aes = {{ file = "keys/{name}.aes" }}
expect = {{ {expected} = ["{receive_id}"] }}
"""
UPSTREAM = """
[endpoint.{name}.upstream]
url = ["http://127.0.0.1:{port}/{name}"]
"""
SIGN_TYPES = {"MD5": "shop-v2", "HMAC-SHA256": "shop-v2-hmac"}
PUSHES = [
    ("push", "message", 'mode = "safe"', "appid", "wx5823bf96d3bd56c7"),
    ("push-compatible", "message", 'mode = "compatible"', "appid", "wx5823bf96d3bd56c7"),
    ("open", "open-platform", "", "appid", "wx134c8103faa5a59e"),
    ("corp", "wecom", "", "receive_id", "ww1436e0e65a779aee"),
    ("bot", "wecom", "", "receive_id", ""),
]


class Bench:
    def __init__(self, wxgate, node_modules, directory):
        self.wxgate, self.node_modules, self.directory = wxgate, node_modules, directory
        self._run("init", str(directory / "site"))
        self.site = directory / "site"
        self.keys = self.site / "keys"
        numbers = json.loads(self.text("sim.json"))
        self.mchid, self.appid = numbers["mchid"], numbers["appid"]
        self.certificate_serial, self.public_key_id = numbers["certificate_serial"], numbers["public_key_id"]
        self.app = App()
        self.accounts, self.nodes = {}, {}
        self.port = free_port()
        self._write_site()
        self._run("check", "--config", str(self.site / "wxgate.toml"), good=(0, 1))

    def _write_site(self):
        config = self.site / "wxgate.toml"
        text = config.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
        text = text.replace("127.0.0.1:9900", f"127.0.0.1:{free_port()}")
        for sign_type, name in SIGN_TYPES.items():
            text += V2.format(name=name, sign_type=sign_type, mchid=self.mchid, appid=self.appid)
            text += UPSTREAM.format(name=name, port=self.app.port)
        for name, protocol, mode, expected, receive_id in PUSHES:
            account = Account(protocol, secrets.token_hex(8), encoding_aes_key(), receive_id)
            (self.keys / f"{name}.token").write_text(account.token)
            (self.keys / f"{name}.aes").write_text(account.aes_key)
            text += PUSH.format(name=name, protocol=protocol, mode=mode, expected=expected, receive_id=receive_id)
            text += UPSTREAM.format(name=name, port=self.app.port)
            self.accounts[name] = account
        config.write_text(text)

    def text(self, name):
        return (self.keys / name).read_text()

    def _run(self, *arguments, stdin=None, good=(0,)):
        done = subprocess.run([str(self.wxgate), *arguments], input=stdin, capture_output=True, text=True)
        assert done.returncode in good, f"wxgate {arguments[0]} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def judge(self, message, endpoint="shop-pay"):
        """`wxgate verify`: verdict, reason, event and reply."""
        arguments = ["verify", "--config", str(self.site / "wxgate.toml"), "--endpoint", endpoint, "--json", "-"]
        return json.loads(self._run(*arguments, stdin=message.captured(), good=(0, 1)))

    def accepts(self, message, event, endpoint="shop-pay"):
        judged = self.judge(message, endpoint)
        assert judged["verdict"] == "accept", judged
        assert judged["event"] == event, f"another event: {judged['event']}, not {event}"
        return judged["reply"]

    def refuses(self, message, reason, endpoint="shop-pay"):
        judged = self.judge(message, endpoint)
        assert (judged["verdict"], judged["reason"]) == ("reject", reason), judged

    def samples(self, protocol="pay-v3"):
        """Names of what the simulator can send."""
        listed = self._run("sim", "send", "--protocol", protocol, "--list")
        return [line.split()[0] for line in listed.splitlines()]

    def simulate(self, sample, *more, protocol="pay-v3", endpoint="shop-pay"):
        """`wxgate sim send --print`, taken apart."""
        url = f"http://127.0.0.1:{self.port}/notify/{endpoint}"
        arguments = ["--protocol", protocol, "--keys", str(self.keys), "--to", url, "--sample", sample, "--print", *more]
        raw = self._run("sim", "send", *arguments)
        head, _, body = raw.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.split("\n")
        method, target, _ = first.split()
        path, _, query = target.partition("?")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("Content-Length", 0))
        return Message(headers, body.encode()[:length], method=method, path=path, query=query)

    def simulate_push(self, endpoint, sample, *more):
        """The same of message push, with the keys of the endpoint."""
        account = self.accounts[endpoint]
        keys = ["--token", account.token, "--aes-key", account.aes_key, "--receive-id", account.receive_id]
        return self.simulate(sample, *keys, *more, protocol=account.protocol, endpoint=endpoint)

    @contextlib.contextmanager
    def gateway(self):
        """`wxgate run` on the site."""
        with open(self.directory / "gateway.log", "wb") as log:
            command = [str(self.wxgate), "run", "--config", str(self.site / "wxgate.toml")]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline, "the gateway does not come up"
                    time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)

    def send(self, message):
        """To the running gateway: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(message.method, f"{message.path}?{message.query}", message.body, message.headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def node(self, operation, script="axios.cjs", **inputs):
        """Asks an npm SDK."""
        if script not in self.nodes:
            command = ["node", str(pathlib.Path(__file__).parent / script)]
            pipe = subprocess.PIPE
            self.nodes[script] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=self.node_modules)
        node = self.nodes[script]
        node.stdin.write(json.dumps({"op": operation, **inputs}) + "\n")
        node.stdin.flush()
        answer = json.loads(node.stdout.readline())
        assert "error" not in answer, f"{script} {operation}: {answer['error']}"
        return answer

    def npm_version(self, package):
        return json.loads((self.node_modules / "node_modules" / package / "package.json").read_text())["version"]


class App:
    """The app behind the gateway: says `says` to every event."""

    def __init__(self):
        self.says = "success"
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                body = app.says.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def encoding_aes_key():
    """43 letters and digits that are 32 bytes in base64, as WeChat's console makes them."""
    while True:
        text = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        if all(symbol in string.ascii_letters + string.digits for symbol in text):
            return text


def payment_v3(bench):
    """A payment as its documentation shows it; what goes in has to come out."""
    return {
        "transaction_id": "1217752501201407033233368018",
        "mchid": bench.mchid,
        "appid": bench.appid,
        "out_trade_no": "INTEROP-1",
        "trade_type": "NATIVE",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "CMC",
        "success_time": "2026-06-08T10:34:56+08:00",
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": {"total": 100, "payer_total": 90, "currency": "CNY", "payer_currency": "CNY"},
    }


def envelope_v3(ciphertext, nonce, aad="transaction"):
    return {
        "id": "EV-2018022511223320873",
        "create_time": "2026-06-08T10:34:56+08:00",
        "resource_type": "encrypt-resource",
        "event_type": "TRANSACTION.SUCCESS",
        "summary": "支付成功",
        "resource": {
            "original_type": "transaction",
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": ciphertext,
            "associated_data": aad,
            "nonce": nonce,
        },
    }
