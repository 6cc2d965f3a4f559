"""npm SDK wechatpay-axios-plugin (axios.cjs): WeChat Pay v3 and v2 both ways, by Node's cryptography."""

import json
import types

import pay_v2
from bench import INTO, OUT_OF, Case, Message, envelope_v3, payment_v3


def title(bench):
    return f"wechatpay-axios-plugin {bench.npm_version('wechatpay-axios-plugin')} (Node.js)"


def signed(bench, by_public_key):
    key = bench.text("apiv3.key").strip()
    plaintext = json.dumps(payment_v3(bench), ensure_ascii=False)
    sealed = bench.node("seal_v3", plaintext=plaintext, aad="transaction", key=key)
    body = json.dumps(envelope_v3(sealed["ciphertext"], sealed["nonce"]), ensure_ascii=False)
    private = bench.text("pub_key_private.pem" if by_public_key else "wechatpay_cert_key.pem")
    stamp = bench.node("sign_v3", body=body, private_key=private)
    headers = {
        "Content-Type": "application/json",
        "Wechatpay-Timestamp": stamp["timestamp"],
        "Wechatpay-Nonce": stamp["nonce"],
        "Wechatpay-Serial": bench.public_key_id if by_public_key else bench.certificate_serial,
        "Wechatpay-Signature": stamp["signature"],
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }
    return Message(headers, body.encode())


def accepts(bench, message, by_public_key):
    return bench.node(
        "accept_v3",
        headers={name.lower(): value for name, value in message.headers.items()},
        body=message.body.decode(),
        public_key=bench.text("pub_key.pem" if by_public_key else "wechatpay_cert.pem"),
        key=bench.text("apiv3.key").strip(),
    )


def v2_key(bench):
    return bench.text("apiv2.key").strip()


def sign_v2(bench, fields, sign_type):
    return bench.node("sign_v2", fields=fields, key=v2_key(bench), type=sign_type)["xml"]


def seal_v2(bench, fields):
    return bench.node("seal_v2", fields=fields, key=v2_key(bench))["req_info"]


def read_v2(bench, xml, sign_type):
    return bench.node("accept_v2", xml=xml, key=v2_key(bench), type=sign_type).get("event")


def open_v2(bench, xml):
    return bench.node("open_v2", req_info=pay_v2.text_of(xml, "req_info"), key=v2_key(bench))["event"]


def cases(bench):
    for case in cases_v3(bench):
        yield "pay-v3", case
    for case in pay_v2.cases(bench, types.SimpleNamespace(sign=sign_v2, seal=seal_v2, read=read_v2, open=open_v2)):
        yield "pay-v2", case


def cases_v3(bench):
    for by_public_key in (False, True):
        kind = "public key" if by_public_key else "certificate"

        def accepted(by_public_key=by_public_key):
            bench.accepts(signed(bench, by_public_key), payment_v3(bench))

        def changed(by_public_key=by_public_key):
            message = signed(bench, by_public_key)
            message.body = message.body.replace(b"SUCCESS", b"success", 1)
            bench.refuses(message, "bad-signature")

        yield Case(f"payment by {kind}", INTO, accepted)
        yield Case(f"changed body by {kind}", INTO, changed)
        for sample in bench.samples():

            def judged(sample=sample, by_public_key=by_public_key):
                message = bench.simulate(sample, "--by", "public-key" if by_public_key else "certificate")
                assert accepts(bench, message, by_public_key)["accepted"], "the SDK refuses it"
                message.body = message.body.replace(b'"summary"', b'"summarx"')
                assert not accepts(bench, message, by_public_key)["accepted"], "the SDK takes anything"

            yield Case(f"{sample} by {kind}", OUT_OF, judged)
