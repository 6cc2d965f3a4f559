//! The comments of a file: `#` at the begin of a line or behind a blank, outside of every text.

use std::ops::Range;

use super::super::yaml::{Kind, Node};

/// A comment.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    pub(super) at: usize,
    /// From `#` on, without blanks at its end.
    pub(super) text: String,
    /// Nothing else stands on its line.
    pub(super) is_alone: bool,
    /// The line before it is empty.
    pub(super) is_apart: bool,
    /// Characters before it on its line.
    pub(super) column: usize,
}

/// All comments, in order.
pub(super) fn find(text: &str, root: &Node) -> Vec<Comment> {
    let mut texts = Vec::new();
    opaque(text, root, None, &mut texts);
    texts.sort_by_key(|range| range.start);
    let mut comments = Vec::new();
    let mut at = 0_usize;
    for opaque in texts.into_iter().chain(std::iter::once(text.len()..text.len())) {
        while at < opaque.start {
            let gap = text.get(at..opaque.start).unwrap_or_default();
            let Some(begin) = hash(text, at, gap) else { break };
            let line = text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            comments.push(comment(text, begin, line));
            at = begin.saturating_add(line.len());
        }
        at = at.max(opaque.end);
    }
    comments
}

/// What comments say, sorted: that none is lost is told by this.
pub(super) fn texts(text: &str, root: &Node) -> Vec<String> {
    let mut texts: Vec<String> = find(text, root).into_iter().map(|comment| comment.text).collect();
    texts.sort();
    texts
}

/// The first `#` of a gap that begins a comment.
fn hash(text: &str, from: usize, gap: &str) -> Option<usize> {
    let begins = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(char::is_whitespace)
    };
    let mut places = gap.match_indices('#').map(|(at, _)| from.saturating_add(at));
    places.find(|at| begins(*at))
}

fn comment(text: &str, at: usize, line: &str) -> Comment {
    let begin = line_begin(text, at);
    let before = text.get(begin..at).unwrap_or_default();
    Comment {
        at,
        text: line.trim_end().to_owned(),
        is_alone: before.trim().is_empty(),
        is_apart: is_apart(text, at),
        column: before.chars().count(),
    }
}

/// Where the line of a place begins.
pub(super) fn line_begin(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline.saturating_add(1))
}

/// Whether the line before that of a place is empty.
pub(super) fn is_apart(text: &str, at: usize) -> bool {
    let before = text.get(..line_begin(text, at)).unwrap_or_default();
    before.strip_suffix('\n').is_some_and(|before| before.rsplit('\n').next().is_none_or(|line| line.trim().is_empty()))
}

/// Where texts stand that may hold `#`: keys, values, and block texts with their lines. `after` is the end of what stands
/// before a value.
fn opaque(text: &str, node: &Node, after: Option<usize>, found: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::Scalar(_) => {
            let range = node.at.range();
            let block = after.and_then(|after| Block::of(text, after, &range));
            found.extend(block.map(|block| block.lines).or_else(|| (!range.is_empty()).then_some(range)));
        }
        Kind::Sequence(items) => {
            let mut end = after.unwrap_or(node.at.range().start);
            for item in items {
                opaque(text, item, Some(end), found);
                end = item.at.range().end;
            }
        }
        Kind::Mapping(entries) => {
            for (key, value) in entries {
                found.push(key.at.range());
                opaque(text, value, Some(key.at.range().end), found);
            }
        }
    }
}

/// A block text, `|` or `>`.
pub(super) struct Block {
    /// `>-`
    pub(super) header: String,
    /// From behind the header's line to the end of its last line that is not empty.
    pub(super) lines: Range<usize>,
    /// What each of its lines is indented by.
    pub(super) indent: usize,
}

impl Block {
    /// The block text at `range`, if it is one. `after` is the end of what stands before it.
    pub(super) fn of(text: &str, after: usize, range: &Range<usize>) -> Option<Self> {
        let gap = text.get(after..range.start)?;
        let header = gap.find(['|', '>'])?;
        // Only a colon, dashes and blanks may stand before it; a comment there holds what it likes.
        if gap.get(..header)?.chars().any(|c| !matches!(c, ':' | '-' | ' ' | '\n' | '\t')) {
            return None;
        }
        let at = after.saturating_add(header);
        let word = text.get(at..)?.split(|c: char| c.is_whitespace()).next()?;
        let begin = at.saturating_add(text.get(at..)?.find('\n')?).saturating_add(1);
        let end = begin.saturating_add(text.get(begin..range.end.max(begin))?.trim_end().len());
        let told = word.contains(|c: char| c.is_ascii_digit());
        let lines = text.get(begin..end)?.lines().filter(|line| !line.trim().is_empty());
        let least = lines.map(|line| line.chars().take_while(|c| *c == ' ').count()).min().unwrap_or(0);
        let first = range.start.saturating_sub(line_begin(text, range.start));
        Some(Self { header: word.to_owned(), lines: begin..end, indent: if told { first.min(least) } else { least } })
    }
}
