//! The checks of a signature that docs/events.md shows are run as they stand there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // a test may fail

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;

const DOCS: &str = include_str!("../docs/events.md");
const BODY: &[u8] = "{\"test\": 2432232314, \"说明\": \"100%\"}\n".as_bytes();
const KEY: [u8; 32] = [0xfb; 32];
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";

/// The first block of a language.
fn shown(language: &str) -> &'static str {
    let (_, from) = DOCS.split_once(&format!("```{language}\n")).unwrap();
    from.split_once("```").unwrap().0
}

struct Request {
    timestamp: u64,
    signature: String,
    body: Vec<u8>,
}

impl Request {
    /// As the gateway signs it, `ago` seconds ago.
    fn signed(ago: u64) -> Self {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - ago;
        let signed = [format!("{ID}.{timestamp}.").as_bytes(), BODY].concat();
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &signed);
        let signature = format!("v1,{}", base64_simd::STANDARD.encode_to_string(mac));
        Self { timestamp, signature, body: BODY.to_vec() }
    }
}

/// What holds and what does not, for each language: `check` says whether the shown code takes the request.
fn holds_as_documented(checks_time: bool, check: impl Fn(&str, &Request) -> bool) {
    let secret = format!("whsec_{}", base64_simd::STANDARD.encode_to_string(KEY));
    assert!(check(&secret, &Request::signed(0)), "a genuine one");
    let mut rotating = Request::signed(0);
    rotating.signature = format!("v1,{} {}", base64_simd::STANDARD.encode_to_string([0; 32]), rotating.signature);
    assert!(check(&secret, &rotating), "one of two signatures");

    let mut changed = Request::signed(0);
    changed.body[10] ^= 1;
    assert!(!check(&secret, &changed), "a changed body");
    let mut later = Request::signed(0);
    later.timestamp += 1;
    assert!(!check(&secret, &later), "a changed timestamp");
    for signature in ["", "v1,", "v1,AAAA", "v2,AAAA", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
        assert!(!check(&secret, &Request { signature: signature.to_owned(), ..Request::signed(0) }), "{signature}");
    }
    let other = format!("whsec_{}", base64_simd::STANDARD.encode_to_string([0xfa; 32]));
    assert!(!check(&other, &Request::signed(0)), "another secret");
    if checks_time {
        assert!(!check(&secret, &Request::signed(600)), "an old one");
    }
}

/// Runs a script in a directory; its standard output, and whether it ended well.
fn run(program: &str, script: &str, secret: &str, request: &Request) -> (String, bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("check"), script).unwrap();
    std::fs::write(path("body"), &request.body).unwrap();
    let mut child = Command::new(program)
        .arg(Path::new("check"))
        .env("SECRET", secret)
        .env("WEBHOOK_ID", ID)
        .env("WEBHOOK_TIMESTAMP", request.timestamp.to_string())
        .env("WEBHOOK_SIGNATURE", &request.signature)
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed to run what docs/events.md shows: {error}"));
    // A script that does not read it has ended already.
    let _ = child.stdin.take().unwrap().write_all(&request.body);
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap().trim().to_owned(), output.status.success())
}

#[test]
fn the_python_check_takes_what_the_gateway_signs_and_nothing_else() {
    let script = format!(
        "{}\nimport os\nheaders = {{n: os.environ[n.upper().replace('-', '_')] for n in \
         ('webhook-id', 'webhook-timestamp', 'webhook-signature')}}\n\
         print(is_from_gateway(os.environ['SECRET'], headers, open('body', 'rb').read()))\n",
        shown("python")
    );
    holds_as_documented(true, |secret, request| match run("python3", &script, secret, request) {
        (said, true) if said == "True" => true,
        (said, true) if said == "False" => false,
        other => panic!("{other:?}"),
    });
}

#[test]
fn the_node_check_takes_what_the_gateway_signs_and_nothing_else() {
    let script = format!(
        "{}\nconst e = process.env;\nconst headers = {{ 'webhook-id': e.WEBHOOK_ID, 'webhook-timestamp': \
         e.WEBHOOK_TIMESTAMP, 'webhook-signature': e.WEBHOOK_SIGNATURE }};\n\
         console.log(isFromGateway(e.SECRET, headers, require('node:fs').readFileSync('body')));\n",
        shown("js")
    );
    holds_as_documented(true, |secret, request| match run("node", &script, secret, request) {
        (said, true) if said == "true" => true,
        (said, true) if said == "false" => false,
        other => panic!("{other:?}"),
    });
}

#[test]
fn the_shell_check_takes_what_the_gateway_signs_and_nothing_else() {
    holds_as_documented(false, |secret, request| match run("sh", shown("sh"), secret, request) {
        (said, true) if said == "genuine" => true,
        (said, true) if said.starts_with("not genuine") => false,
        other => panic!("{other:?}"),
    });
}
