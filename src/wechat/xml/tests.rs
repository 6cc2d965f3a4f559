//! The reader against documents that were made from trees, against hazards by name, and against any bytes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn fault(text: &str) -> &'static str {
    read(text.as_bytes()).expect_err(text).fault
}

fn as_json(text: &str) -> Value {
    serde_json::from_slice(&read(text.as_bytes()).unwrap().to_json()).unwrap()
}

#[test]
fn text_comes_in_every_spelling_and_is_one_text() {
    for (source, text) in [
        ("<a>x</a>", "x"),
        ("<a></a>", ""),
        ("<a/>", ""),
        ("<a />", ""),
        ("<a\n>x</a\t>", "x"),
        ("<a> x </a>", " x "),
        ("<a>\r\n</a>", "\r\n"),
        ("<a><![CDATA[x]]></a>", "x"),
        ("<a><![CDATA[]]></a>", ""),
        ("<a><![CDATA[<b>&lt;&#1;</b>]]></a>", "<b>&lt;&#1;</b>"),
        ("<a><![CDATA[]]]]><![CDATA[>]]></a>", "]]>"),
        ("<a>1<![CDATA[2]]>3&#52;</a>", "1234"),
        ("<a>&lt;&gt;&amp;&quot;&apos;</a>", "<>&\"'"),
        ("<a>&#x4E2D;&#x4e2d;&#20013;</a>", "中中中"),
        ("<a>&#x1F600;😀</a>", "😀😀"),
        ("<a>&amp;amp;</a>", "&amp;"),
        ("<a>]]&gt;</a>", "]]>"),
        ("<a>]] ></a>", "]] >"),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a>x</a>\n", "x"),
        ("<?xml version='1.0' encoding='utf-8' standalone='yes' ?><a>x</a>", "x"),
        ("<?xml version=\"1.0\"?><a>x</a>", "x"),
        (" \n<a>x</a> ", "x"),
    ] {
        assert_eq!(
            read(source.as_bytes()).map(|root| root.text().map(str::to_owned)),
            Ok(Some(text.to_owned())),
            "{source}"
        );
    }
}

#[test]
fn each_hazard_is_refused_and_called_by_its_name() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><x>&b;</x>";
    for (source, expected) in [
        ("<!DOCTYPE a><a/>", "a DOCTYPE or another declaration"),
        (bomb, "a DOCTYPE or another declaration"),
        ("<?xml version=\"1.0\"?><!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "a DOCTYPE or another declaration"),
        ("<a><!ENTITY b \"c\"></a>", "a DOCTYPE or another declaration"),
        ("<a>1<!-- -->00</a>", "a comment"),
        ("<!-- --><a/>", "a comment"),
        ("<a><?php ?></a>", "a processing instruction"),
        ("<a/><?php ?>", "something follows the root element"),
        ("<?xml-stylesheet href=\"x\"?><a/>", "a declaration other than of XML 1.0 in UTF-8"),
        ("<?xml version=\"1.1\"?><a/>", "a declaration other than of XML 1.0 in UTF-8"),
        ("<?xml version=\"1.0\" encoding=\"GBK\"?><a/>", "a declaration other than of XML 1.0 in UTF-8"),
        ("<?xml encoding=\"utf-8\"?><a/>", "a declaration other than of XML 1.0 in UTF-8"),
        (
            "<?xml version=\"1.0\" encoding=\"utf-8\" encoding=\"utf-8\"?><a/>",
            "a declaration other than of XML 1.0 in UTF-8",
        ),
        (" <?xml version=\"1.0\"?><a/>", "a processing instruction"),
        ("<a>&b;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&LT;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#x;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#X41;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#+65;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#0;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#xD800;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#xFFFF;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#x110000;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a>&#0000000065;</a>", "an entity that is not predefined, or no reference at all"),
        ("<a b=\"c\"/>", "an attribute, or a tag that does not end"),
        ("<a xmlns=\"c\"></a>", "an attribute, or a tag that does not end"),
        ("<a></a b>", "a tag that does not end"),
        ("<x:a></x:a>", "a name with a prefix"),
        ("<a><x:b>1</x:b></a>", "a name with a prefix"),
        ("< a/>", "no name of an element"),
        ("<1a/>", "no name of an element"),
        ("<ä/>", "no name of an element"),
        ("<a><b/>x</a>", "text beside elements"),
        ("<a><![CDATA[ ]]><b/></a>", "text beside elements"),
        ("<a>&#32;x<b/></a>", "text beside elements"),
        ("<a></b>", "the end of another element"),
        ("<a><b></a></b>", "the end of another element"),
        ("<a>]]></a>", "the end of a CDATA that did not begin"),
        ("<a><![CDATA[x</a>", "a CDATA that does not end"),
        ("<a><![cdata[x]]></a>", "a DOCTYPE or another declaration"),
        ("<a/><b/>", "something follows the root element"),
        ("<a/>x", "something follows the root element"),
        ("x<a/>", "text where an element is expected"),
        ("{\"a\":1}", "text where an element is expected"),
        ("\u{feff}<a/>", "text where an element is expected"),
        ("<a>\0</a>", "a character that XML does not have"),
        ("<a>\u{8}</a>", "a character that XML does not have"),
        ("<a>\u{ffff}</a>", "a character that XML does not have"),
        ("", "the text ends too early"),
        ("<a>", "the text ends too early"),
        ("<a", "the text ends too early"),
        ("<a>x", "the text ends too early"),
        ("<a></a", "the text ends too early"),
    ] {
        assert_eq!(fault(source), expected, "{source}");
    }
    assert_eq!(read(b"<a>\xd6\xd0</a>"), Err(XmlError { fault: "the text is not UTF-8", at: 3 }));
    let wide: Vec<u8> = "<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(read(&wide).is_err() && read(&[&[0xff, 0xfe], &wide[..]].concat()).is_err());
}

#[test]
fn every_prefix_of_a_document_is_refused() {
    let whole = "<?xml version=\"1.0\"?><xml><a><![CDATA[中]]></a><b>&amp;</b><c><d/></c></xml>";
    for end in 0..whole.len() {
        assert!(read(&whole.as_bytes()[..end]).is_err(), "{end}");
    }
    assert!(read(whole.as_bytes()).is_ok());
}

#[test]
fn depth_and_numbers_are_bounded_exactly() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(read(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(fault(&nested(MAX_DEPTH + 1)), "nested too deep");
    assert_eq!(fault(&"<a>".repeat(300_000)), "nested too deep");
    let many = |children: usize| format!("<a>{}</a>", "<b/>".repeat(children));
    assert!(read(many(MAX_CHILDREN).as_bytes()).is_ok());
    assert_eq!(fault(&many(MAX_CHILDREN + 1)), "more elements than one may have");
    let wide = format!("<r>{}</r>", many(MAX_CHILDREN).repeat(MAX_ELEMENTS / MAX_CHILDREN));
    assert_eq!(fault(&wide), "more elements than a document may have");
    let name = |len: usize| format!("<{}/>", "n".repeat(len));
    assert!(read(name(MAX_NAME).as_bytes()).is_ok());
    assert_eq!(fault(&name(MAX_NAME + 1)), "no name of an element");
}

#[test]
fn a_name_that_may_come_once_comes_once_and_has_text() {
    let only = |source: &'static str| read(source.as_bytes()).unwrap().only("b").map(|text| text.map(str::to_owned));
    assert_eq!(only("<a><b>1</b><c/></a>"), Ok(Some("1".to_owned())));
    assert_eq!(only("<a><c/></a>"), Ok(None));
    assert_eq!(only("<a>b</a>"), Ok(None));
    assert_eq!(only("<a><b/></a>"), Ok(Some(String::new())));
    assert_eq!(
        only("<a><b>1</b><b>1</b></a>").unwrap_err().to_string(),
        "a second element of a name that may come once at byte 11"
    );
    assert!(only("<a><b><c/></b></a>").is_err());
}

#[test]
fn one_piece_of_text_is_borrowed() {
    for source in ["<a>x</a>", "<a><![CDATA[x]]></a>"] {
        assert!(matches!(read(source.as_bytes()).unwrap().content, Content::Text(Cow::Borrowed("x"))));
    }
}

#[test]
fn json_follows_the_convention() {
    for (source, expected) in [
        ("<xml><a>1</a><b><![CDATA[x]]></b><c/></xml>", json!({"a": "1", "b": "x", "c": ""})),
        ("<xml><a><b>1</b></a></xml>", json!({"a": {"b": "1"}})),
        ("<xml><a>1</a><b/><a>2</a></xml>", json!({"a": ["1", "2"], "b": ""})),
        (
            "<xml><p><item><m>1</m></item>\n<item><m>2</m></item></p></xml>",
            json!({"p": {"item": [{"m": "1"}, {"m": "2"}]}}),
        ),
        ("<xml><a>18446744073709551615</a></xml>", json!({"a": "18446744073709551615"})),
        ("<xml/>", json!({})),
        ("<xml> </xml>", json!({})),
    ] {
        assert_eq!(as_json(source), expected, "{source}");
    }
    let root = read(b"<xml><b>1</b><a>\"\\&#10;</a></xml>").unwrap();
    assert_eq!(root.to_json(), br#"{"b":"1","a":"\"\\\n"}"#, "in the order of the document");
}

/// A tree that has a document: names, texts, children.
#[derive(Clone, Debug)]
enum Tree {
    Text(String),
    Children(Vec<(String, Tree)>),
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let text = prop_oneof!["[ -~\n\t]{0,12}", "[<>&\"'\\]\\[!a]{0,8}", ".{0,8}"];
    let leaf = text.prop_map(|text| Tree::Text(text.chars().filter(|c| is_char(*c)).collect()));
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop::collection::vec(("[A-Za-z_][a-c0-9_.-]{0,2}", inner), 1..5).prop_map(Tree::Children)
    })
}

/// Writes a tree as XML; `styles` says how each text is spelled.
fn write(tree: &Tree, styles: &mut impl Iterator<Item = u8>, out: &mut String) {
    match tree {
        Tree::Text(text) => match styles.next().unwrap_or(0) % 3 {
            0 => out.extend(["<![CDATA[", &text.replace("]]>", "]]]]><![CDATA[>"), "]]>"]),
            1 => out.push_str(&text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")),
            _ => out.extend(text.chars().map(|c| format!("&#{};", u32::from(c)))),
        },
        Tree::Children(children) => {
            for (name, child) in children {
                let layout = ["", "\n", " \t"][usize::from(styles.next().unwrap_or(0) % 3)];
                out.extend([layout, "<", name, ">"]);
                write(child, styles, out);
                out.extend(["</", name, layout, ">"]);
            }
        }
    }
}

fn is_same(tree: &Tree, element: &Element<'_>) -> bool {
    match tree {
        Tree::Text(text) => element.text() == Some(text),
        Tree::Children(children) => {
            children.len() == element.children().len()
                && children.iter().zip(element.children()).all(|((name, tree), e)| e.name() == name && is_same(tree, e))
        }
    }
}

/// The JSON of a tree, by other code.
fn convention(tree: &Tree) -> Value {
    match tree {
        Tree::Text(text) => Value::String(text.clone()),
        Tree::Children(children) => {
            let mut members = serde_json::Map::new();
            for (name, child) in children {
                let value = convention(child);
                let is_repeated = children.iter().filter(|(other, _)| other == name).count() > 1;
                if is_repeated {
                    let items = members.entry(name).or_insert_with(|| json!([]));
                    items.as_array_mut().unwrap().push(value);
                } else {
                    members.insert(name.clone(), value);
                }
            }
            Value::Object(members)
        }
    }
}

fn document(tree: &Tree, styles: Vec<u8>) -> String {
    let mut inside = String::new();
    write(tree, &mut styles.into_iter().cycle(), &mut inside);
    format!("<xml>{inside}</xml>")
}

proptest! {
    #[test]
    fn a_document_is_read_as_the_tree_that_it_was_written_from(
        tree in any_tree(),
        styles in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let document = document(&tree, styles);
        let root = read(document.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error}: {document}")))?;
        prop_assert!(is_same(&tree, &root), "{}", document);
        if matches!(tree, Tree::Children(_)) {
            let json: Value = serde_json::from_slice(&root.to_json()).unwrap();
            prop_assert_eq!(json, convention(&tree));
        }
    }

    /// A document with a few bytes changed is a document often enough: then nothing hides in it.
    #[test]
    fn what_passes_holds_no_markup_but_elements(
        tree in any_tree(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"<>&;!?-[]/:= x\"\xff\0"[..])), 0..4),
    ) {
        let mut bytes = document(&tree, vec![1]).into_bytes();
        for (place, byte) in edits {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if read(&bytes).is_ok() {
            let text = String::from_utf8(bytes).unwrap();
            prop_assert!(!text.contains("<!") && !text.contains("<?") && !text.contains("]]>"), "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let _ = read(&[b"<xml>", &bytes[..], b"</xml>"].concat());
    }

    #[test]
    fn no_text_is_longer_than_its_source(text in "(<a>|</a>|&amp;|&#65;|<!\\[CDATA\\[|\\]\\]>|[a-c]){0,40}") {
        let document = format!("<xml>{text}</xml>");
        if let Ok(root) = read(document.as_bytes()) {
            prop_assert!(root.text().unwrap_or_default().len() <= text.len());
        }
    }
}
