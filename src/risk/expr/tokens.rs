//! The words and signs of an expression's text: enough to find the bracket that belongs to a bracket, and to say in plain
//! words what a parser only calls unexpected.

#![expect(clippy::wildcard_enum_match_arm, reason = "asks for brackets among all tokens")]

use super::{Code, ExprProblem, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word,
    Number,
    Text,
    /// A text that does not end.
    OpenText,
    Open(char),
    Close(char),
    /// An operator, a comma, a dot.
    Sign,
    /// A character that no token begins with.
    Stray(char),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
    /// For a bracket the place of its partner among the tokens.
    pub(super) partner: Option<usize>,
}

const PAIRS: [&str; 6] = ["==", "!=", "<=", ">=", "&&", "||"];

/// Cuts a text into tokens, without spaces and comments.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            let (kind, length) = token(rest, first);
            let span = Span::new(at, at.saturating_add(length));
            tokens.push(Token { kind, span, partner: None });
            length
        };
        at = at.saturating_add(length);
    }
    pair_brackets(&mut tokens);
    tokens
}

fn token(rest: &str, first: char) -> (TokenKind, usize) {
    if let Some((closed, length)) = text_literal(rest) {
        return (if closed { TokenKind::Text } else { TokenKind::OpenText }, length);
    }
    let word = |head: char| {
        rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len()).max(head.len_utf8())
    };
    match first {
        'a'..='z' | 'A'..='Z' | '_' => (TokenKind::Word, word(first)),
        '0'..='9' => (TokenKind::Number, word(first)),
        '(' | '[' | '{' => (TokenKind::Open(first), 1),
        ')' | ']' | '}' => (TokenKind::Close(first), 1),
        _ if PAIRS.iter().any(|pair| rest.starts_with(pair)) => (TokenKind::Sign, 2),
        '<' | '>' | '!' | '+' | '-' | '*' | '/' | '%' | '?' | ':' | ',' | '.' => (TokenKind::Sign, 1),
        _ => (TokenKind::Stray(first), first.len_utf8()),
    }
}

/// Whether a text that begins here is closed, and its length; none: no text begins here.
fn text_literal(rest: &str) -> Option<(bool, usize)> {
    let prefix = rest.find(['"', '\'']).filter(|place| *place <= 2)?;
    let (head, body) = rest.split_at_checked(prefix)?;
    if !head.bytes().all(|byte| matches!(byte, b'r' | b'R' | b'b' | b'B')) {
        return None;
    }
    let raw = head.contains(['r', 'R']);
    let quote = if body.starts_with("\"\"\"") || body.starts_with("'''") { body.get(..3)? } else { body.get(..1)? };
    let mut at = quote.len();
    while let Some(inner) = body.get(at..)
        && let Some(next) = inner.chars().next()
    {
        if inner.starts_with(quote) {
            return Some((true, prefix.saturating_add(at).saturating_add(quote.len())));
        }
        if next == '\n' && quote.len() == 1 {
            break;
        }
        at = at.saturating_add(next.len_utf8());
        if next == '\\' && !raw {
            at = at.saturating_add(inner.chars().nth(1).map_or(0, char::len_utf8));
        }
    }
    Some((false, prefix.saturating_add(at).min(rest.len())))
}

fn pair_brackets(tokens: &mut [Token]) {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut pairs = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open(bracket) => open.push((place, closing(bracket))),
            TokenKind::Close(bracket) => {
                if let Some((partner, _)) = open.pop_if(|(_, expected)| *expected == bracket) {
                    pairs.push((partner, place));
                }
            }
            _ => {}
        }
    }
    for (left, right) in pairs {
        if let Some(token) = tokens.get_mut(left) {
            token.partner = Some(right);
        }
        if let Some(token) = tokens.get_mut(right) {
            token.partner = Some(left);
        }
    }
}

const fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

/// Signs that people write from habit of another language or keyboard, and what CEL has instead.
const HABITS: [(char, &str); 16] = [
    ('=', "=="),
    ('&', "&&"),
    ('|', "||"),
    ('“', "\""),
    ('”', "\""),
    ('‘', "'"),
    ('’', "'"),
    ('（', "("),
    ('）', ")"),
    ('，', ","),
    ('！', "!"),
    ('＝', "=="),
    ('＞', ">"),
    ('＜', "<"),
    ('：', ":"),
    ('。', "."),
];
const WORDS: [(&str, &str); 6] = [("and", "&&"), ("or", "||"), ("not", "!"), ("AND", "&&"), ("OR", "||"), ("NOT", "!")];

/// What is wrong with a text that does not parse, where it is one of the usual slips.
pub(super) fn slips(text: &str, tokens: &[Token]) -> Vec<ExprProblem> {
    let mut found = Vec::new();
    let mut slip = |span, message: String, suggestion: String| {
        found.push(ExprProblem::new(Code::Syntax, span, message).suggest(suggestion));
    };
    for token in tokens {
        let written = token.span.of(text);
        if written == "<"
            && text
                .get(usize::try_from(token.span.end).unwrap_or(usize::MAX)..)
                .is_some_and(|rest| rest.starts_with('>'))
        {
            slip(token.span, "`<>` is no operator".to_owned(), "write `!=`".to_owned());
        }
        match token.kind {
            TokenKind::Stray(sign) => match HABITS.iter().find(|(habit, _)| *habit == sign) {
                Some((_, instead)) => {
                    slip(token.span, format!("`{sign}` is no sign of this language"), format!("write `{instead}`"));
                }
                None => slip(token.span, format!("`{sign}` is no sign of this language"), "leave it out".to_owned()),
            },
            TokenKind::OpenText => {
                slip(token.span, "this text has no closing quote".to_owned(), "close it on the same line".to_owned());
            }
            TokenKind::Open(bracket) if token.partner.is_none() => {
                slip(token.span, format!("`{bracket}` is not closed"), format!("add `{}`", closing(bracket)));
            }
            TokenKind::Close(bracket) if token.partner.is_none() => {
                slip(token.span, format!("`{bracket}` closes nothing"), "leave it out".to_owned());
            }
            TokenKind::Word => {
                if let Some((word, instead)) = WORDS.iter().find(|(word, _)| *word == written) {
                    slip(token.span, format!("`{word}` is no operator"), format!("write `{instead}`"));
                }
            }
            TokenKind::Open(_) | TokenKind::Close(_) | TokenKind::Number | TokenKind::Text | TokenKind::Sign => {}
        }
    }
    found
}

/// How deep brackets and conditions are nested.
pub(super) fn depth(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for token in tokens {
        match token.kind {
            TokenKind::Open(_) => depth = depth.saturating_add(1),
            TokenKind::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
