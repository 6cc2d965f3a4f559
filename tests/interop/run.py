"""Drives the SDKs against the built binary; see scripts/interop.

A peer is a module beside this file: `title(bench)` names the SDK and its version, and `cases(bench)` yields protocols and
`Case`s, each of which makes or takes one message. The binary is used as its users do: `wxgate verify` judges what an SDK
made, `wxgate sim send --print` makes what an SDK judges, and a running gateway encrypts what an app replies.
"""

import argparse
import collections
import importlib
import pathlib
import platform
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bench import Bench, NotSpoken  # noqa: E402

PEERS = ["peer_wechatpayv3", "peer_axios", "peer_wechatpy", "peer_wecom_crypto"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wxgate", required=True, type=pathlib.Path)
    parser.add_argument("--node-modules", required=True, type=pathlib.Path)
    parser.add_argument("peers", nargs="*", default=PEERS)
    args = parser.parse_args()
    passed, failed = collections.Counter(), []
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(args.wxgate.resolve(), args.node_modules.resolve(), pathlib.Path(directory))
        with bench.gateway():
            for name in args.peers:
                peer = importlib.import_module(name)
                title = peer.title(bench)
                for protocol, case in peer.cases(bench):
                    try:
                        case.run()
                        passed[title, protocol, case.direction] += 1
                    except NotSpoken:
                        continue
                    except (AssertionError, KeyError, ValueError, subprocess.CalledProcessError) as error:
                        failed.append(f"{title}, {protocol}, {case.direction}: {case.name}: {error!r}")
    node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    print(f"Python {platform.python_version()}, Node.js {node}")
    for (title, protocol, direction), number in passed.items():
        print(f"{title}: {protocol}: {direction}: {number} cases passed")
    print(f"{passed.total()} cases passed, {len(failed)} failed")
    for line in failed:
        print(f"FAILED {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
