"""Notifications of WeChat Pay v2 as the documentation shows them, and the cases that every SDK of v2 goes through.

An SDK gives four functions: `sign(bench, fields, type)` makes a document, `seal(bench, fields)` makes the `req_info` of a
refund, `read(bench, xml, type)` gives the fields of a notification if its signature holds, and `open(bench, xml)` those of a
refund."""

import base64
import re

from bench import INTO, OUT_OF, SIGN_TYPES, Case, Message


def payment(bench):
    return {
        "appid": bench.appid,
        "attach": "支付测试 <1> & 2=3",
        "bank_type": "CFT",
        "cash_fee": "90",
        "coupon_count": "1",
        "coupon_fee": "10",
        "coupon_fee_0": "10",
        "coupon_type_0": "CASH",
        "device_info": "",
        "fee_type": "CNY",
        "is_subscribe": "Y",
        "mch_id": bench.mchid,
        "nonce_str": "5d2b6c2a8db53831f7eda20af46e531c",
        "openid": "oUpF8uMEb4qRXf22hE3X68TekukE",
        "out_trade_no": "1409811653",
        "result_code": "SUCCESS",
        "return_code": "SUCCESS",
        "time_end": "20260608103456",
        "total_fee": "100",
        "trade_type": "JSAPI",
        "transaction_id": "1004400740201409030005092168",
    }


def combined(bench):
    order = '{"order_num":1,"order_list":[{"mch_id":"1900000109","out_trade_no":"A-1","total_fee":100}]}'
    return {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "combine_appid": bench.appid,
        "combine_mch_id": bench.mchid,
        "combine_out_trade_no": "A",
        "nonce_str": "5d2b6c2a8db53831f7eda20af46e531c",
        "sub_order_list": order,
    }


def refund(status):
    return {
        "out_refund_no": "R-1",
        "out_trade_no": "1409811653",
        "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
        "refund_fee": "100",
        "refund_id": "50000408942018111907145868882",
        "refund_recv_accout": "支付用户零钱",
        "refund_request_source": "API",
        "refund_status": status,
        "settlement_refund_fee": "100",
        "settlement_total_fee": "100",
        "success_time": "2026-06-08 10:34:56",
        "total_fee": "100",
        "transaction_id": "1004400740201409030005092168",
    }


def envelope(bench, req_info):
    return (
        f"<xml><return_code>SUCCESS</return_code><appid><![CDATA[{bench.appid}]]></appid>"
        f"<mch_id><![CDATA[{bench.mchid}]]></mch_id><nonce_str>5d2b6c2a</nonce_str>"
        f"<req_info><![CDATA[{req_info}]]></req_info></xml>"
    )


def message(xml, endpoint="shop-v2"):
    return Message({"Content-Type": "text/xml"}, xml.encode(), path=f"/notify/{endpoint}")


def text_of(xml, name):
    return re.search(f"<{name}>(?:<!\\[CDATA\\[)?(.*?)(?:]]>)?</{name}>", xml, re.DOTALL)[1]


def cases(bench, sdk):
    yield from made_by_the_sdk(bench, sdk)
    for sign_type, endpoint in SIGN_TYPES.items():
        for sample in bench.samples("pay-v2"):
            if "refund" not in sample:
                yield Case(f"{sample} by {sign_type}", OUT_OF, lambda s=sample, t=sign_type: signed(bench, sdk, s, t))
            elif endpoint == "shop-v2":
                yield Case(sample, OUT_OF, lambda s=sample: encrypted(bench, sdk, s))


def made_by_the_sdk(bench, sdk):
    for sign_type, endpoint in SIGN_TYPES.items():
        other = next(name for name in SIGN_TYPES.values() if name != endpoint)
        for name, fields in [("payment", payment(bench)), ("combined payment", combined(bench))]:
            if sign_type != "MD5":
                fields["sign_type"] = sign_type
            xml = sdk.sign(bench, fields, sign_type)
            event = fields | {"sign": text_of(xml, "sign")}

            def accepted(xml=xml, event=event, endpoint=endpoint):
                bench.accepts(message(xml), event, endpoint)

            def changed(xml=xml, endpoint=endpoint):
                bench.refuses(message(xml.replace("5d2b6c2a", "5d2b6c2b")), "bad-signature", endpoint)

            def of_the_other_kind(xml=xml, other=other):
                bench.refuses(message(xml), "sign-type-mismatch", other)

            yield Case(f"{name} by {sign_type}", INTO, accepted)
            yield Case(f"changed {name} by {sign_type}", INTO, changed)
            yield Case(f"{name} by {sign_type} where the other is asked for", INTO, of_the_other_kind)
    for status in ["SUCCESS", "CHANGE", "REFUNDCLOSE"]:
        sealed = sdk.seal(bench, refund(status))

        def opens(sealed=sealed, status=status):
            bench.accepts(message(envelope(bench, sealed)), refund(status), "shop-v2")

        def cut(sealed=sealed):
            blocks = base64.b64decode(sealed)
            shorter = base64.b64encode(blocks[:-16]).decode()
            bench.refuses(message(envelope(bench, shorter)), "bad-ciphertext", "shop-v2")

        yield Case(f"refund {status}", INTO, opens)
        yield Case(f"refund {status} without its last block", INTO, cut)


def signed(bench, sdk, sample, sign_type):
    made = bench.simulate(sample, "--sign-type", sign_type, protocol="pay-v2", endpoint=SIGN_TYPES[sign_type])
    xml = made.body.decode()
    read = sdk.read(bench, xml, sign_type)
    assert read, "the SDK refuses it"
    judged = bench.judge(made, SIGN_TYPES[sign_type])
    assert judged["event"] == read, f"read otherwise: {read}, not {judged['event']}"
    tampered = xml.replace("<result_code><![CDATA[", "<result_code><![CDATA[X")
    assert tampered != xml and not sdk.read(bench, tampered, sign_type), "the SDK takes anything"


def encrypted(bench, sdk, sample):
    made = bench.simulate(sample, protocol="pay-v2", endpoint="shop-v2")
    read = sdk.open(bench, made.body.decode())
    judged = bench.judge(made, "shop-v2")
    assert judged["event"] == read, f"read otherwise: {read}, not {judged['event']}"
