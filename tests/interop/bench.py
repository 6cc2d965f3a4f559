"""What every peer needs: a configuration with test keys, and the two ends of the binary."""

import base64
import dataclasses
import json
import subprocess
import typing

INTO = "made by the SDK, judged by wxgate"
OUT_OF = "made by wxgate's simulator, judged by the SDK"


@dataclasses.dataclass
class Case:
    name: str
    direction: str
    run: typing.Callable[[], None]


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


class Bench:
    def __init__(self, wxgate, node_modules, directory):
        self.wxgate, self.node_modules, self.directory = wxgate, node_modules, directory
        self._run("init", str(directory / "site"))
        self.site = directory / "site"
        self.keys = self.site / "keys"
        numbers = json.loads(self.text("sim.json"))
        self.mchid, self.appid = numbers["mchid"], numbers["appid"]
        self.certificate_serial, self.public_key_id = numbers["certificate_serial"], numbers["public_key_id"]

    def text(self, name):
        return (self.keys / name).read_text()

    def _run(self, *arguments, stdin=None, good=(0,)):
        done = subprocess.run([str(self.wxgate), *arguments], input=stdin, capture_output=True, text=True)
        assert done.returncode in good, f"wxgate {arguments[0]} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def judge(self, message, endpoint="shop-pay"):
        """`wxgate verify`: verdict, reason and event."""
        arguments = ["verify", "--config", str(self.site / "wxgate.toml"), "--endpoint", endpoint, "--json", "-"]
        return json.loads(self._run(*arguments, stdin=message.captured(), good=(0, 1)))

    def accepts(self, message, event, endpoint="shop-pay"):
        judged = self.judge(message, endpoint)
        assert judged["verdict"] == "accept", judged
        assert judged["event"] == event, f"another event: {judged['event']}"

    def refuses(self, message, reason, endpoint="shop-pay"):
        judged = self.judge(message, endpoint)
        assert (judged["verdict"], judged["reason"]) == ("reject", reason), judged

    def samples(self):
        """Names of what the simulator can send for Pay v3."""
        return [line.split()[0] for line in self._run("sim", "send", "--list").splitlines()]

    def simulate(self, sample, *more):
        """`wxgate sim send --print`, taken apart."""
        url = "http://127.0.0.1:8080/notify/shop-pay"
        raw = self._run("sim", "send", "--keys", str(self.keys), "--to", url, "--sample", sample, "--print", *more)
        head, _, body = raw.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.split("\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Message(headers, body.encode()[: int(headers["Content-Length"])], method=first.split()[0])

    def node(self, operation, **inputs):
        """Asks the npm SDK."""
        script = str(__import__("pathlib").Path(__file__).parent / "axios.cjs")
        asked = json.dumps({"op": operation, **inputs})
        done = subprocess.run(["node", script], input=asked, capture_output=True, text=True, cwd=self.node_modules)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


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
