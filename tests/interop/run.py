"""Drives the SDKs against the built binary; see scripts/interop.

A peer is a module beside this file with `cases(bench)`: it yields `Case`s, each of which makes or takes one message.
The binary is used as its users do: `wxgate verify` judges what an SDK made, `wxgate sim send --print` makes what an SDK
judges.
"""

import argparse
import collections
import importlib
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bench import Bench  # noqa: E402

PEERS = ["peer_wechatpayv3", "peer_axios"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wxgate", required=True, type=pathlib.Path)
    parser.add_argument("--node-modules", required=True, type=pathlib.Path)
    args = parser.parse_args()
    passed, failed = collections.Counter(), []
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(args.wxgate.resolve(), args.node_modules.resolve(), pathlib.Path(directory))
        for name in PEERS:
            peer = importlib.import_module(name)
            for case in peer.cases(bench):
                try:
                    case.run()
                    passed[peer.NAME, case.direction] += 1
                except (AssertionError, subprocess.CalledProcessError) as error:
                    failed.append(f"{peer.NAME}, {case.direction}: {case.name}: {error}")
    for (sdk, direction), number in passed.items():
        print(f"{sdk}: {direction}: {number} cases passed")
    for line in failed:
        print(f"FAILED {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
