"""Python SDK wechatpy: WeChat Pay v2, message push, open platforms and WeCom."""

import re
import random
import time
import types

import wechatpy
import wechatpy.crypto
import wechatpy.enterprise.crypto
from wechatpy.component import COMPONENT_MESSAGE_TYPES
from wechatpy.enterprise import parse_message as parse_enterprise_message
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.pay import WeChatPay
from wechatpy.pay.utils import calculate_signature, calculate_signature_hmac, dict_to_xml
from wechatpy.utils import check_signature

import pay_v2
import push
from bench import INTO, OUT_OF, Case, Message, NotSpoken

SIGN = {"MD5": calculate_signature, "HMAC-SHA256": calculate_signature_hmac}


def title(bench):
    return f"wechatpy {wechatpy.__version__} (Python)"


def key(bench):
    return bench.text("apiv2.key").strip()


def pay(bench):
    return WeChatPay(appid=bench.appid, api_key=key(bench), mch_id=bench.mchid)


def sign(bench, fields, sign_type):
    return dict_to_xml(fields, SIGN[sign_type](fields, key(bench)))


def seal(bench, fields):
    crypto = wechatpy.crypto.RefundCrypto(wechatpy.crypto.WeChatRefundCrypto(key(bench)).key)
    return crypto.encrypt(re.sub("^<xml>|</xml>$", lambda tag: tag[0].replace("xml", "root"), dict_to_xml(fields))).decode()


def read(bench, xml, sign_type):
    if sign_type == "MD5":
        try:
            fields = pay(bench).parse_payment_result(xml)
        except InvalidSignatureException:
            return None
    else:
        fields = push.read(xml)
        expected = SIGN[sign_type]({name: value for name, value in fields.items() if name != "sign"}, key(bench))
        if fields["sign"] != expected:
            return None
    return {name: str(value) if value is not None else "" for name, value in fields.items()}


def open_refund(bench, xml):
    fields = pay(bench).parse_refund_notify_result(xml)
    return {name: str(value) for name, value in fields.items()}


def crypto(account):
    kind = wechatpy.enterprise.crypto if account.protocol == "wecom" else wechatpy.crypto
    return kind.WeChatCrypto(account.token, account.aes_key, account.receive_id)


def seal_push(bench, account, text, timestamp, nonce):
    made = push.read(crypto(account).encrypt_message(text, nonce, timestamp).strip())
    return made["Encrypt"], made["MsgSignature"]


def open_push(bench, account, envelope, signature, timestamp, nonce):
    return crypto(account).decrypt_message(envelope, signature, timestamp, nonce)


PAY = types.SimpleNamespace(sign=sign, seal=seal, read=read, open=open_refund)
PUSH = types.SimpleNamespace(seal=seal_push, open=open_push)


def cases(bench):
    for case in pay_v2.cases(bench, PAY):
        yield "pay-v2", case
    for case in push.cases(bench, PUSH):
        yield "push", case
    for case in checks(bench):
        yield "check of the URL", case
    for case in parsed(bench):
        yield "push", case


def checks(bench):
    """The check of the URL, made by either side."""
    for endpoint, account in bench.accounts.items():
        make = corp_check if account.protocol == "wecom" else check

        def answered(make=make, endpoint=endpoint, account=account):
            made, echo = make(account, endpoint)
            reply = bench.accepts(made, None, endpoint)
            assert reply["body"] == echo, reply

        def changed(make=make, endpoint=endpoint, account=account):
            made, _ = make(account, endpoint)
            made.query = made.query.replace("nonce=", "nonce=1")
            bench.refuses(made, "bad-signature", endpoint)

        def asked(endpoint=endpoint, account=account):
            made = bench.simulate_push(endpoint, "text", "--check")
            query = push.query_of(made)
            if account.protocol == "wecom":
                stamp = (query["msg_signature"], query["timestamp"], query["nonce"])
                echo = crypto(account).check_signature(*stamp, query["echostr"])
            else:
                check_signature(account.token, query["signature"], query["timestamp"], query["nonce"])
                echo = query["echostr"]
            assert bench.judge(made, endpoint)["reply"]["body"] == echo

        yield Case(f"check of {endpoint}", INTO, answered)
        yield Case(f"changed check of {endpoint}", INTO, changed)
        yield Case(f"check of {endpoint}", OUT_OF, asked)


def check(account, endpoint):
    echo, timestamp, nonce = str(random.getrandbits(63)), str(int(time.time())), str(random.getrandbits(32))
    signer = wechatpy.utils.WeChatSigner()
    signer.add_data(account.token, timestamp, nonce)
    query = {"signature": signer.signature, "timestamp": timestamp, "nonce": nonce, "echostr": echo}
    return Message({}, b"", method="GET", path=f"/notify/{endpoint}", query=push.encode(query)), echo


def corp_check(account, endpoint):
    echo, timestamp, nonce = str(random.getrandbits(63)), str(int(time.time())), str(random.getrandbits(32))
    encrypted, signature = seal_push(None, account, echo, timestamp, nonce)
    query = {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": encrypted}
    return Message({}, b"", method="GET", path=f"/notify/{endpoint}", query=push.encode(query)), echo


def parsed(bench):
    """The SDK's own messages: it sees the same sender, kind and id as wxgate."""
    for endpoint in ["push", "open", "corp"]:
        for sample in bench.samples(bench.accounts[endpoint].protocol):
            yield Case(f"{sample} of {endpoint}, parsed", OUT_OF, lambda e=endpoint, s=sample: parse(bench, e, s))


def parse(bench, endpoint, sample):
    made = bench.simulate_push(endpoint, sample)
    query, account = push.query_of(made), bench.accounts[endpoint]
    stamp = (query["msg_signature"], query["timestamp"], query["nonce"])
    text = open_push(bench, account, push.envelope_of(made.body.decode()), *stamp)
    event = bench.judge(made, endpoint)["event"]
    if endpoint == "open" and event.get("InfoType") in COMPONENT_MESSAGE_TYPES:
        message = COMPONENT_MESSAGE_TYPES[event["InfoType"]](push.read(text))
        assert message.appid == event["AppId"], event
        return
    if "MsgType" not in event:
        raise NotSpoken
    message = (parse_enterprise_message if endpoint == "corp" else wechatpy.parse_message)(text)
    assert (message.source, message.target) == (event["FromUserName"], event["ToUserName"]), event
    if "MsgId" in event:
        assert message.id == int(event["MsgId"]), event
