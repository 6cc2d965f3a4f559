"""Pushes of WeChat and WeCom, and the cases that every SDK of the message crypt goes through.

An SDK gives two functions: `seal(bench, account, text, timestamp, nonce)` gives `Encrypt` and its signature,
`open(bench, account, envelope, signature, timestamp, nonce)` gives the text, and fails on a wrong signature or id."""

import json
import random
import time
import urllib.parse

import xmltodict

from bench import INTO, OUT_OF, Case, Message

REPLIES = {
    "xml": "<xml><ToUserName><![CDATA[o1]]></ToUserName><FromUserName><![CDATA[gh_1]]></FromUserName>"
    "<CreateTime>1760000000</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[你好 & 再见]]></Content></xml>",
    "json": '{"demo_resp":"good luck","名":[1,2]}',
}


def contents():
    """What an account pushes: everyday text, an event, and texts that fill the padding in every way."""
    yield {"MsgType": "event", "Event": "subscribe", "EventKey": "qrscene_123123", "Ticket": "T"}
    for length in [0, 1, 15, 16, 17, 31, 32, 33, 2048]:
        yield {"MsgType": "text", "Content": "中" * length, "MsgId": str(random.getrandbits(62))}


def whole(content):
    head = {"ToUserName": "gh_7f083739789a", "FromUserName": "oia2TjjewbmiOUlr6X-1crbLOvLw"}
    return head | {"CreateTime": str(int(time.time()))} | content


def xml(members):
    return "<xml>" + "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in members.items()) + "</xml>"


def signed(bench, endpoint, sdk, text, form):
    """A push as WeChat sends it, made by the SDK."""
    account = bench.accounts[endpoint]
    timestamp, nonce = str(int(time.time())), str(random.randrange(10**9, 10**10))
    encrypted, signature = sdk.seal(bench, account, text, timestamp, nonce)
    query = {"timestamp": timestamp, "nonce": nonce, "msg_signature": signature}
    if account.protocol != "wecom":
        query["encrypt_type"] = "aes"
    name = "encrypt" if account.protocol == "wecom" and form == "json" else "Encrypt"
    envelope = {"ToUserName": "gh_7f083739789a", name: encrypted}
    body = xml(envelope) if form == "xml" else json.dumps(envelope)
    return Message({"Content-Type": "text/xml"}, body.encode(), path=f"/notify/{endpoint}", query=encode(query))


def encode(query):
    return urllib.parse.urlencode(query)


def query_of(message):
    return dict(urllib.parse.parse_qsl(message.query))


def read(text):
    """A document of either form with all scalars as texts, as wxgate forwards XML."""
    if text.startswith("{"):
        return json.loads(text)

    def filled(value):
        if isinstance(value, dict):
            return {name: filled(member) for name, member in value.items() if name != "#text"}
        if isinstance(value, list):
            return [filled(item) for item in value]
        return value or ""

    return filled(xmltodict.parse(text, strip_whitespace=False)["xml"])


def envelope_of(text):
    """What an encrypted document holds, under WeChat's names."""
    names = {"encrypt": "Encrypt", "msgsignature": "MsgSignature", "timestamp": "TimeStamp", "nonce": "Nonce"}
    members = read(text)
    return {names.get(name, name): str(value) for name, value in members.items()}


def endpoints(bench):
    """Endpoint, form."""
    for endpoint in bench.accounts:
        yield endpoint, "xml"
        if endpoint != "open":
            yield endpoint, "json"


def cases(bench, sdk):
    for endpoint, form in endpoints(bench):
        yield from made_by_the_sdk(bench, sdk, endpoint, form)
        yield Case(f"replies of {endpoint} in {form}", OUT_OF, lambda e=endpoint, f=form: replies(bench, sdk, e, f))
        for sample in bench.samples(bench.accounts[endpoint].protocol):

            def judged(sample=sample, endpoint=endpoint, form=form):
                simulated(bench, sdk, endpoint, sample, form)

            yield Case(f"{sample} of {endpoint} in {form}", OUT_OF, judged)


def made_by_the_sdk(bench, sdk, endpoint, form):
    def of_another():
        made = signed(bench, endpoint, sdk, "<xml><MsgType>text</MsgType></xml>", form)
        other = "push" if endpoint != "push" else "push-compatible"
        reason = "mode-mismatch" if "encrypt_type" not in made.query else "bad-signature"
        bench.refuses(made, reason, other)

    for number, content in enumerate(contents()):
        content = whole(content)
        text = xml(content) if form == "xml" else json.dumps(content, ensure_ascii=False)

        def accepted(content=content, text=text):
            bench.accepts(signed(bench, endpoint, sdk, text, form), content, endpoint)

        def changed(text=text):
            made = signed(bench, endpoint, sdk, text, form)
            at = made.body.index(b"ncrypt") + 40  # within the ciphertext
            made.body = made.body[:at] + (b"B" if made.body[at : at + 1] == b"A" else b"A") + made.body[at + 1 :]
            bench.refuses(made, "bad-signature", endpoint)

        yield Case(f"push {number} to {endpoint} in {form}", INTO, accepted)
        yield Case(f"changed push {number} to {endpoint} in {form}", INTO, changed)
    yield Case(f"push to another account than {endpoint} in {form}", INTO, of_another)


def simulated(bench, sdk, endpoint, sample, form):
    mode = "compatible" if endpoint.endswith("compatible") else "safe"
    made = bench.simulate_push(endpoint, sample, "--format", form, "--mode", mode)
    account, query = bench.accounts[endpoint], query_of(made)
    encrypted = envelope_of(made.body.decode())
    arguments = (query["msg_signature"], query["timestamp"], query["nonce"])
    text = sdk.open(bench, account, encrypted, *arguments)
    judged = bench.judge(made, endpoint)
    assert judged["event"] == read(text), f"read otherwise: {read(text)}, not {judged['event']}"
    for wrong in [
        (account, encrypted, "0" * 40, *arguments[1:]),
        (account, encrypted, arguments[0], arguments[1], "0"),
        (type(account)(account.protocol, account.token, account.aes_key, "wx0"), encrypted, *arguments),
    ]:
        try:
            sdk.open(bench, *wrong)
        except Exception:  # whatever the SDK says
            continue
        raise AssertionError("the SDK takes anything")


def replies(bench, sdk, endpoint, form):
    """What the app says goes back encrypted, and the SDK reads it as the platform would."""
    bench.app.says = REPLIES[form]
    content = whole({"MsgType": "text", "Content": "?", "MsgId": str(random.getrandbits(62))})
    text = xml(content) if form == "xml" else json.dumps(content)
    status, answer = bench.send(signed(bench, endpoint, sdk, text, form))
    assert status == 200, f"{status} {answer}"
    sealed = envelope_of(answer)
    assert "Encrypt" in sealed, f"not encrypted: {answer}"
    said = sdk.open(bench, bench.accounts[endpoint], sealed, sealed["MsgSignature"], sealed["TimeStamp"], sealed["Nonce"])
    assert said == REPLIES[form], said
