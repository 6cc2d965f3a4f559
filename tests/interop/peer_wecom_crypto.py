"""npm package @wecom/crypto (wecom_crypto.cjs), WeCom's own: the message crypt, which message push shares."""

import dataclasses
import types

import push


def title(bench):
    return f"@wecom/crypto {bench.npm_version('@wecom/crypto')} (Node.js)"


def ask(bench, operation, account, **inputs):
    return bench.node(operation, script="wecom_crypto.cjs", **dataclasses.asdict(account), **inputs)


def seal(bench, account, text, timestamp, nonce):
    made = ask(bench, "seal", account, text=text, timestamp=timestamp, nonce=nonce)
    return made["encrypted"], made["signature"]


def open_push(bench, account, envelope, signature, timestamp, nonce):
    opened = ask(bench, "open", account, encrypted=envelope["Encrypt"], timestamp=timestamp, nonce=nonce)
    # The package leaves these two comparisons to its caller.
    assert opened["signature"] == signature, "another signature"
    assert opened["id"] == account.receive_id, "another id"
    return opened["message"]


def cases(bench):
    for case in push.cases(bench, types.SimpleNamespace(seal=seal, open=open_push)):
        yield "push", case
