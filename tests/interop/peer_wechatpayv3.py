"""Python SDK wechatpayv3: judges the simulator's callbacks, and signs callbacks in WeChat's place."""

import base64
import copy
import json
import time
import uuid

import wechatpayv3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from wechatpayv3.utils import load_private_key, rsa_sign

from bench import INTO, OUT_OF, Case, Message, envelope_v3, payment_v3


def title(bench):
    return f"wechatpayv3 {wechatpayv3.__version__} (Python)"


def sdk(bench, by_public_key):
    certificates = bench.directory / "sdk-certificates"
    certificates.mkdir(exist_ok=True)
    (certificates / "platform.pem").write_text(bench.text("wechatpay_cert.pem"))
    keys = {"public_key": bench.text("pub_key.pem"), "public_key_id": bench.public_key_id} if by_public_key else {}
    return wechatpayv3.WeChatPay(
        wechatpay_type=wechatpayv3.WeChatPayType.NATIVE,
        mchid=bench.mchid,
        private_key=bench.text("apiclient_key.pem"),
        cert_serial_no="3775B6A45ACD588826D15E583A95F5DD7C40A2F1",
        apiv3_key=bench.text("apiv3.key").strip(),
        appid=bench.appid,
        notify_url="https://example.com/notify",
        cert_dir=str(certificates),
        **keys,
    )


def signed(bench, by_public_key):
    plaintext = json.dumps(payment_v3(bench), ensure_ascii=False)
    nonce = uuid.uuid4().hex[:12]
    sealed = AESGCM(bench.text("apiv3.key").strip().encode()).encrypt(nonce.encode(), plaintext.encode(), b"transaction")
    body = json.dumps(envelope_v3(base64.b64encode(sealed).decode(), nonce), ensure_ascii=False)
    timestamp, signed_nonce = str(int(time.time())), uuid.uuid4().hex
    key = load_private_key(bench.text("pub_key_private.pem" if by_public_key else "wechatpay_cert_key.pem"))
    headers = {
        "Content-Type": "application/json",
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": signed_nonce,
        "Wechatpay-Serial": bench.public_key_id if by_public_key else bench.certificate_serial,
        "Wechatpay-Signature": rsa_sign(key, f"{timestamp}\n{signed_nonce}\n{body}\n"),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }
    return Message(headers, body.encode())


def cases(bench):
    for case in cases_v3(bench):
        yield "pay-v3", case


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
                answer = sdk(bench, by_public_key).callback(copy.copy(message.headers), message.body)
                assert answer and answer["resource"], "the SDK refuses it"
                tampered = message.body.replace(b'"summary"', b'"summarx"')
                assert not sdk(bench, by_public_key).callback(message.headers, tampered), "the SDK takes anything"

            yield Case(f"{sample} by {kind}", OUT_OF, judged)
