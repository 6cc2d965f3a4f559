#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into corpus/, from the test vectors and the documents of the project.

A seed is named by its digest, as libFuzzer names what it finds. What a target expects in front of a seed (the byte that
chooses, lines of a head) is told by its door in src/.
"""

import base64
import hashlib
import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


def seed(target, data, limit=65536):
    if isinstance(data, str):
        data = data.encode()
    if len(data) <= limit:
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def vectors(name):
    return json.loads((ROOT / "tests/vectors" / f"{name}.json").read_text())


def body_of(case):
    return base64.b64decode(case["request"]["body_b64"])


def plaintext_of(case):
    expect = case["expect"]
    if expect.get("plaintext_b64"):
        return base64.b64decode(expect["plaintext_b64"])
    event = expect.get("event")
    return None if event is None else json.dumps(event, ensure_ascii=False).encode()


def captured(case):
    request = case["request"]
    seed("captured", json.dumps({k: request[k] for k in ("method", "path", "query", "headers", "body_b64")}))
    target = request["path"] + ("?" + request["query"] if request["query"] else "")
    head = "".join(f"{name}: {value}\r\n" for name, value in request["headers"])
    seed("captured", f"{request['method']} {target} HTTP/1.1\r\n{head}\r\n".encode() + body_of(case))


def pay_v3():
    for case in vectors("pay_v3"):
        captured(case)
        body, head = body_of(case), "\n".join(": ".join(pair) for pair in case["request"]["headers"])
        seed("pay_v3_head", head.encode() + b"\n\n" + body)
        seed("pay_v3_body", body)
        seed("json", body)
        seed("entry", b"\x08\x00\x00\n\n" + body)
        plaintext = plaintext_of(case)
        if plaintext:
            seed("pay_v3_resource", plaintext)
            seed("json", plaintext)
            seed("entry", b"\x00\x00\x00\n\n" + plaintext)
            seed("entry", b"\x00\x80\x01\nx-other: 1\n\n" + plaintext)
    for case in vectors("crypt"):
        if case["op"].startswith("v3-certificates"):
            body = case["input"].get("body_b64")
            if body:
                seed("pay_v3_certificates", b"\x00" + base64.b64decode(body))
    for pem in (ROOT / "src/sim/keys").glob("*.pem"):
        seed("pay_v3_certificates", b"\x01" + pem.read_bytes())
        seed("pay_v3_certificates", b"\x03" + pem.read_bytes())


def pay_v2():
    for case in vectors("pay_v2"):
        captured(case)
        body = body_of(case)
        unsigned = re.sub(rb"<sign>.*?</sign>\s*", b"", body).strip()
        seed("xml", body)
        for choice in (b"\x00", b"\x01", b"\x02"):
            seed("pay_v2", choice + (body if choice == b"\x00" else unsigned))
        seed("entry", b"\x01\x00\x00\n\n" + unsigned)
        seed("entry", b"\x09\x00\x00\n\n" + unsigned)
        event = case["expect"].get("event")
        if event and "refund_id" in event:
            root = "<root>" + "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in event.items()) + "</root>"
            seed("xml", root)
            seed("pay_v2", b"\x03" + root.encode())
            seed("entry", b"\x02\x00\x00\n\n" + root.encode())


def xml_of(event):
    def inner(value):
        if isinstance(value, dict):
            return "".join(f"<{name}>{inner(item)}</{name}>" if not isinstance(item, list)
                           else "".join(f"<{name}>{inner(one)}</{name}>" for one in item)
                           for name, item in value.items())
        return f"<![CDATA[{value}]]>"
    return f"<xml>{inner(event)}</xml>"


def push():
    for family, cases in (("push", vectors("message")), ("wecom", vectors("wecom"))):
        for case in cases:
            captured(case)
            query, body = case["request"]["query"].encode(), body_of(case)
            seed("query", query)
            seed("json" if body.lstrip().startswith(b"{") else "xml", body)
            # push: which endpoint (2 bits), what is made of it (2 bits), form; wecom: the same without the endpoint.
            shift = 2 if family == "push" else 0
            for endpoint in range(4 if family == "push" else 1):
                seed(family, bytes([endpoint]) + query + b"\n\n" + body)
                seed(family, bytes([endpoint | 1 << shift]) + body)
            event = case["expect"].get("event")
            if not event:
                continue
            for message in (json.dumps(event, ensure_ascii=False).encode(), xml_of(event).encode()):
                seed("biz_msg_crypt", b"\x03" + message)
                seed("push_reply", message)
                for endpoint in range(4 if family == "push" else 1):
                    for form in range(3):
                        seed(family, bytes([endpoint | 2 << shift | form << (shift + 2)]) + message)
                for which in ((3, 4, 5, 6) if family == "push" else (7,)):
                    for form in range(3):
                        seed("entry", bytes([which | form << 3, 0, 0]) + b"openid=o\n\n" + message)
                        seed("entry", bytes([which | form << 3, 100, 1]) + b"\n\n" + message)
    for echo in (b"8652102777077138150", b"<script>", b"a%2Bb"):
        for endpoint in range(4):
            seed("push", bytes([endpoint | 3 << 2]) + echo)
        seed("wecom", b"\x03" + echo)
    for case in vectors("crypt"):
        if case["op"] == "wx-msg-decrypt":
            seed("biz_msg_crypt", b"\x00" + case["input"]["encrypt"].encode())
    for length in (0, 11, 12, 200, 0xffffffff):
        for padding in (1, 16, 31, 32, 33, 0, 255):
            message = b"r" * 16 + length.to_bytes(4, "big") + b"m" * 11 + b"wx5823bf96d3bd56c7"
            fill = -len(message) % 32
            seed("biz_msg_crypt", b"\x01" + message + bytes([padding]) * fill)
    for case in vectors("reply_encrypt"):
        seed("push_reply", case["input"]["msg"])


def texts():
    def condition(text):
        """With the names that the target has around a condition."""
        text = re.sub(r"counter\.\w*(first|known|new)\w*", "counter.seen", text)
        text = re.sub(r"counter\.(?!seen)\w+", "counter.pays", text)
        seed("rules", b"\x02" + re.sub(r"list\.\w*(range|net)\w*", "list.ranges", text).encode())
        seed("rules", b"\x02" + re.sub(r"list\.\w+", "list.ours", text).encode())

    for rules in sorted((ROOT / "rules").glob("*.yaml")):
        text = rules.read_text()
        seed("rules", b"\x00" + text.encode())
        for when in re.findall(r"^\s+when: (.+)$", text, re.M):
            condition(when.strip("'\""))
        for block in re.findall(r"when: [|>]-?\n((?:\s{6,}.+\n)+?)(?=\s+\w+:)", text):
            condition(re.sub(r"\n\s+", "\n", block.strip()))
    mistakes = (ROOT / "src/risk/tests/mistakes.txt").read_text()
    for part in re.split(r"\n(?:---+|===+).*\n", mistakes):
        seed("rules", b"\x01" + part.encode())
    for doc in ("rules.md", "expressions.md"):
        for block in re.findall(r"```(?:yaml|cel)?\n(.*?)```", (ROOT / "docs" / doc).read_text(), re.S):
            seed("rules", b"\x00" + block.encode())
            seed("rules", b"\x01" + block.encode())
            for line in block.splitlines():
                condition(line.strip())
        for code in re.findall(r"`([^`\n]+)`", (ROOT / "docs" / doc).read_text()):
            condition(code)
    for path in (ROOT / "docs" / "configuration.md", ROOT / "docs" / "keys.md", ROOT / "docs" / "queues.md"):
        for block in re.findall(r"```toml\n(.*?)```", path.read_text(), re.S):
            seed("config", block)
    seed("config", (ROOT / "src/cli/init.toml").read_text())
    upstream = '[endpoint.pay.upstream]\nurl = ["http://127.0.0.1:9000/events"]\n'
    push = 'keys.token = { file = "keys/token" }\nkeys.aes = { file = "keys/aes" }\n'
    for lines in (
        'protocol = "pay-v3"\nkeys.api_v3 = { file = "keys/apiv3.key" }\nkeys.certificates = ["keys/wechatpay_cert.pem"]\n',
        'protocol = "pay-v3"\nkeys.api_v3 = { file = "keys/apiv3.key" }\nkeys.public = [{ id = '
        '"PUB_KEY_ID_0000000000000024101100397200000006", file = "keys/pub_key.pem" }]\nrules = ["payment-core"]\n',
        'protocol = "pay-v3"\nkeys.api_v3 = { file = "keys/apiv3.key" }\nkeys.download = { mchid = "1900000001", serial = '
        '"3775B6A45ACD588826D15E583A95F5DD7C40A2F1", private_key = { file = "keys/apiclient_key.pem" } }\n',
        'protocol = "pay-v2"\nsign_type = "MD5"\nkeys.api_v2 = { file = "keys/apiv2.key" }\n',
        'protocol = "message"\nmode = "safe"\n' + push + 'expect = { appid = ["wx5823bf96d3bd56c7"] }\n',
        'protocol = "open-platform"\n' + push + 'expect = { appid = ["wx5823bf96d3bd56c7"] }\n',
        'protocol = "wecom"\n' + push + 'expect = { receive_id = ["ww1436e0e65a779aee", ""] }\n',
    ):
        seed("config", '[rules]\ndir = "rules"\n[endpoint.pay]\npath = "/notify"\n' + lines + upstream)


def store():
    def put(kind, *parts):
        return bytes([kind]) + b"".join(parts)

    key = bytes(range(16))
    row = b"contents" + (1760000000).to_bytes(4, "little") + b"\x01\x00"
    text = lambda value: len(value).to_bytes(4, "little") + value
    number = lambda value, size=8: value.to_bytes(size, "little", signed=True)
    for record in (
        put(1, key, number(1760000000, 4)),
        put(2, key, row),
        put(3, key, row, number(7), number(1760000000000)),
        put(4, key, row),
        put(5, key, number(7)),
        put(6, key, number(3600, 4), number(60, 4), b"\x00\x00\x00", number(29333333), number(5)),
        put(6, key, number(3600, 4), number(60, 4), b"\x02\x40\x00", number(29333333), b"memberid"),
        put(6, key, number(3600, 4), number(0, 4), b"\x04\x00\x00", number(1760000000), number(1760000001)),
        put(7, key, key, number(1), number(2)),
        put(8, key, number(1760000000, 4), number(100), number(1), number(2), text(b"CNY"), text(b"o"), b"\xff" * 4),
        put(9, number(1760000000, 4), text(b"list"), text(b"value")),
        put(10, text(b"list"), text(b"value")),
        put(11, key, b"\x01", key, b"\x80", number(3600, 4), number(60, 4), b"\x02\x04\x06"),
    ):
        seed("store", b"\x01" + record)
        seed("store", b"\x01" + record + record)
    head = bytes(24) + b"\x01" + bytes(8) + number(1) * 3 + number(0, 4) + b"\x04held" + b"\x04shop"
    seed("store", b"\x02" + b"\x01" + head + b"sealed")
    seed("store", b"\x02" + b"\x02" + bytes(24) + number(1, 4) + number(5))
    seed("store", b"\x02" + b"\x03" + bytes(24))
    form = json.dumps({"origin": "claimed", "event": {"id": "EV-1", "kind": "wechatpay.transaction.success",
                       "amount_total": 100}, "headers": [["a", "b"]], "signed": {"nonce": "n", "at": None, "by": "k"},
                       "verdict": "{}", "attempts_before": 1, "released_from": "held"}).encode()
    seed("store", b"\x03" + b"\x01" + text(form) + text(b"{}") + b"received")
    seed("store", b"\x04" + json.dumps({"endpoint": "shop", "held_at_ms": 1, "id": "i", "kind": "k", "subject": None,
         "nonce": "n", "signed_at_ms": 1, "signed_by": "s", "body_b64": "e30=", "received_body_b64": "e30="}).encode())


pay_v3()
pay_v2()
push()
texts()
store()
for bomb in ("<a>" * 40 + "</a>" * 40, "<xml>" + "<a/>" * 300 + "</xml>",
             '<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><xml>&c;</xml>'):
    seed("xml", bomb)
seed("json", '{"a":' * 70 + "1" + "}" * 70)
for folder in sorted((HERE / "corpus").iterdir()):
    print(folder.name, sum(1 for _ in folder.iterdir()))
