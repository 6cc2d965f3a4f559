//! Text to syntax tree. The grammar is CEL's and so is the parser; here its tree gets whole spans, its lists of `&&` and
//! `||` become flat, what this language leaves out is refused, and its complaints become sentences.

#![expect(clippy::wildcard_enum_match_arm, reason = "asks for one shape among many")]

use cel::common::ast::{Expr as Cel, LiteralValue, SourceInfo, operators};
use cel::{IdedExpr, ParseError};

use super::tokens::{self, Token, TokenKind};
use super::{Code, ExprProblem, MAX_TEXT, Span};

/// Deepest nesting of brackets, conditions and calls.
const MAX_DEPTH: u16 = 32;
/// Most words and signs; it also bounds the depth of chains like `a + b + c`.
const MAX_TOKENS: usize = 400;

/// One node of the syntax tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: NodeKind,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Bool(bool),
    Int(i64),
    Text(Box<str>),
    Name(String),
    Select { of: Box<Node>, field: String },
    Call { name: String, name_span: Span, target: Option<Box<Node>>, args: Vec<Node> },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary { op: Operator, left: Box<Node>, right: Box<Node> },
    Condition { when: Box<Node>, yes: Box<Node>, no: Box<Node> },
    List(Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            operators::ADD => Self::Add,
            operators::SUBSTRACT => Self::Subtract,
            operators::MULTIPLY => Self::Multiply,
            operators::DIVIDE => Self::Divide,
            operators::MODULO => Self::Remainder,
            operators::EQUALS => Self::Equal,
            operators::NOT_EQUALS => Self::NotEqual,
            operators::LESS => Self::Less,
            operators::LESS_EQUALS => Self::LessOrEqual,
            operators::GREATER => Self::Greater,
            operators::GREATER_EQUALS => Self::GreaterOrEqual,
            operators::IN => Self::In,
            _ => return None,
        })
    }

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

impl Node {
    /// `a.b.c` if it is nothing but that.
    pub(super) fn path(&self) -> Option<String> {
        match &self.kind {
            NodeKind::Name(name) => Some(name.clone()),
            NodeKind::Select { of, field, .. } => of.path().map(|path| format!("{path}.{field}")),
            _ => None,
        }
    }
}

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<Node, Vec<ExprProblem>> {
    let whole = Span::new(0, text.len());
    let too_large = |message| Err(vec![ExprProblem::new(Code::TooLarge, whole, message)]);
    if text.len() > MAX_TEXT {
        return too_large(format!("an expression has at most {MAX_TEXT} bytes, this one has {}", text.len()));
    }
    let tokens = tokens::tokens(text);
    if tokens.is_empty() {
        return Err(vec![ExprProblem::new(Code::Syntax, whole, "there is no expression here")]);
    }
    if tokens.len() > MAX_TOKENS {
        let message = format!("an expression has at most {MAX_TOKENS} words and signs, this one has {}", tokens.len());
        return too_large(message);
    }
    if tokens::depth(&tokens) > usize::from(MAX_DEPTH) {
        return too_large(format!("brackets are nested deeper than {MAX_DEPTH}"));
    }
    // No macros: `has(order)` must stay a call, and there are no loops.
    let parser = cel::Env::default().parser().max_recursion_depth(MAX_DEPTH);
    match parser.parse_with_source_info(text) {
        Ok((tree, source)) => {
            let mut reading = Reading { text, tokens: &tokens, source: &source, problems: Vec::new() };
            match (reading.node(&tree), reading.problems) {
                (Some(node), problems) if problems.is_empty() => Ok(node),
                (None, problems) if problems.is_empty() => Err(vec![no_expression(whole)]),
                (_, problems) => Err(problems),
            }
        }
        Err(complaints) => {
            let slips = tokens::slips(text, &tokens);
            if !slips.is_empty() {
                return Err(slips);
            }
            // Those after the first come from the parser's own attempts to go on; one that only says that its tree is
            // incomplete says less than the next.
            let mut errors = complaints.errors.iter().filter(|error| !error.msg.contains("ncomplete"));
            let first = errors.next().or(complaints.errors.first());
            Err(vec![first.map_or_else(|| no_expression(whole), |error| sentence(error, text, &tokens))])
        }
    }
}

fn no_expression(whole: Span) -> ExprProblem {
    ExprProblem::new(Code::Syntax, whole, "this is no expression")
}

/// A complaint of the parser in plain words.
fn sentence(error: &ParseError, text: &str, tokens: &[Token]) -> ExprProblem {
    let offset = offset(text, error.pos);
    let at = tokens.iter().find(|token| usize::try_from(token.span.end).is_ok_and(|end| end > offset));
    let span = at.map_or_else(|| Span::new(text.len(), text.len()), |token| token.span);
    let word = span.of(text);
    let problem = |message: String| ExprProblem::new(Code::Syntax, span, message);
    if error.msg.contains("ecursion limit") || error.msg.contains("recovery attempt") || error.msg == "UNKNOWN" {
        let message = format!("this is no expression, or nested deeper than {MAX_DEPTH}");
        return ExprProblem::new(Code::TooLarge, Span::new(0, text.len()), message);
    }
    if error.msg.starts_with("reserved identifier") {
        return problem(format!("`{word}` is a word that CEL keeps for itself")).suggest("use another name");
    }
    if error.msg.starts_with("invalid int") {
        return problem(format!("`{word}` does not fit into 64 bits"));
    }
    if word.is_empty() {
        return problem("the expression ends too early".to_owned());
    }
    problem(format!("`{word}` is not expected here"))
}

/// The byte at a line and column that both count from 1, the column in characters.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let back = |number: isize| usize::try_from(number.saturating_sub(1)).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(back(line)).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    let within = rest.char_indices().nth(back(column)).map_or(rest.len(), |(place, _)| place);
    before.saturating_add(within)
}

/// A parsed tree on its way to ours.
struct Reading<'a> {
    text: &'a str,
    tokens: &'a [Token],
    source: &'a SourceInfo,
    problems: Vec<ExprProblem>,
}

impl Reading<'_> {
    /// None: a problem has been told.
    fn node(&mut self, expr: &IdedExpr) -> Option<Node> {
        let token = self.token(expr.id);
        match &expr.expr {
            Cel::Literal(literal) => self.literal(literal, token),
            Cel::Ident(name) => {
                if name.starts_with('.') {
                    return self.refuse(token, "a name does not begin with a dot");
                }
                Some(Node { span: token, kind: NodeKind::Name(name.clone()) })
            }
            Cel::Select(select) => {
                let of = Box::new(self.node(&select.operand)?);
                let field_span = self.after(token);
                let span = self.balanced(of.span.to(field_span));
                Some(Node { span, kind: NodeKind::Select { of, field: select.field.clone() } })
            }
            Cel::Call(call) => self.call(call, token),
            Cel::List(list) => {
                let elements: Vec<_> = list.elements.iter().map(|element| self.node(element)).collect();
                let elements = elements.into_iter().collect::<Option<Vec<_>>>()?;
                Some(Node { span: self.balanced(token), kind: NodeKind::List(elements) })
            }
            Cel::Map(_) | Cel::Struct(_) => self.refuse(self.balanced(token), "there are no maps or messages"),
            Cel::Comprehension(_) | Cel::Unspecified => self.refuse(token, "there are no loops"),
        }
    }

    fn literal(&mut self, literal: &LiteralValue, token: Span) -> Option<Node> {
        let kind = match literal {
            LiteralValue::Boolean(value) => NodeKind::Bool(*value.inner()),
            LiteralValue::Int(value) => NodeKind::Int(*value.inner()),
            LiteralValue::String(value) => NodeKind::Text(value.inner().into()),
            LiteralValue::Double(_) => {
                let problem = ExprProblem::new(Code::Unsupported, token, "there are only whole numbers");
                self.problems.push(problem.suggest("write money as `fen(150)`, a share as `ratio(1, 5)`"));
                return None;
            }
            LiteralValue::UInt(_) => return self.refuse(token, "there are no unsigned numbers, leave out the `u`"),
            LiteralValue::Bytes(_) => return self.refuse(token, "there are no bytes, leave out the `b`"),
            LiteralValue::Null => {
                let problem = ExprProblem::new(Code::Unsupported, token, "there is no `null`");
                self.problems.push(problem.suggest("ask `has(field)` or `!has(field)`"));
                return None;
            }
        };
        // The parser takes a minus into the number, but not into its place.
        let negative = matches!(kind, NodeKind::Int(value) if value < 0) && !token.of(self.text).starts_with('-');
        let span = if negative { self.before(token).to(token) } else { token };
        Some(Node { span, kind })
    }

    fn call(&mut self, call: &cel::common::ast::CallExpr, token: Span) -> Option<Node> {
        let target = match &call.target {
            Some(target) => Some(Box::new(self.node(target)?)),
            None => None,
        };
        let args: Vec<_> = call.args.iter().map(|arg| self.node(arg)).collect();
        let args = args.into_iter().collect::<Option<Vec<_>>>()?;
        let inner = args.iter().map(|arg| arg.span).reduce(Span::to).unwrap_or(token);
        let span = self.balanced(inner.to(token));
        let kind = match call.func_name.as_str() {
            operators::CONDITIONAL => {
                let [when, yes, no] = exactly(args)?.map(Box::new);
                NodeKind::Condition { when, yes, no }
            }
            operators::LOGICAL_AND => NodeKind::And(flat(exactly(args)?, true)),
            operators::LOGICAL_OR => NodeKind::Or(flat(exactly(args)?, false)),
            operators::LOGICAL_NOT => {
                let [of] = exactly(args)?.map(Box::new);
                NodeKind::Not(of)
            }
            operators::NEGATE => {
                let [of] = exactly(args)?.map(Box::new);
                NodeKind::Negate(of)
            }
            operators::INDEX => return self.refuse(span, "there is no `[…]` behind a value"),
            operators::OPT_SELECT | operators::OPT_INDEX => {
                let problem = ExprProblem::new(Code::Unsupported, token, "there is no `.?` and no `[?…]`");
                self.problems.push(problem.suggest("write `field.orValue(…)` or `has(field) && …`"));
                return None;
            }
            name => match Operator::of(name) {
                Some(op) => {
                    let [left, right] = exactly(args)?.map(Box::new);
                    NodeKind::Binary { op, left, right }
                }
                None => return self.function(name, token, target, args),
            },
        };
        Some(Node { span, kind })
    }

    fn function(&mut self, name: &str, bracket: Span, target: Option<Box<Node>>, args: Vec<Node>) -> Option<Node> {
        let name_span = self.before(bracket);
        if name.starts_with('.') {
            return self.refuse(name_span, "a name does not begin with a dot");
        }
        let begin = target.as_ref().map_or(name_span, |target| target.span);
        let span = self.balanced(begin.to(bracket));
        Some(Node { span, kind: NodeKind::Call { name: name.to_owned(), name_span, target, args } })
    }

    fn refuse(&mut self, span: Span, message: &str) -> Option<Node> {
        self.problems.push(ExprProblem::new(Code::Unsupported, span, message));
        None
    }

    /// The token that a node of the parser stands for.
    fn token(&self, id: u64) -> Span {
        let (start, last) = self.source.offset_for(id).unwrap_or_default();
        Span { start, end: last.saturating_add(1) }
    }

    fn place(&self, span: Span) -> Option<usize> {
        self.tokens.iter().position(|token| token.span.start == span.start)
    }

    /// The token after the one at `span`.
    fn after(&self, span: Span) -> Span {
        let place = self.place(span).and_then(|place| place.checked_add(1));
        place.and_then(|place| self.tokens.get(place)).map_or(span, |token| token.span)
    }

    /// The token before the one at `span`.
    fn before(&self, span: Span) -> Span {
        let place = self.place(span).and_then(|place| place.checked_sub(1));
        place.and_then(|place| self.tokens.get(place)).map_or(span, |token| token.span)
    }

    /// `span`, widened so that each bracket in it has its partner in it.
    fn balanced(&self, span: Span) -> Span {
        let inside = self.tokens.iter().filter(|token| token.span.start >= span.start && token.span.end <= span.end);
        let partners = inside.filter(|token| matches!(token.kind, TokenKind::Open(_) | TokenKind::Close(_)));
        let partners = partners.filter_map(|token| token.partner.and_then(|place| self.tokens.get(place)));
        partners.map(|token| token.span).fold(span, Span::to)
    }
}

/// As many operands as the operator has; the parser gives no other number.
fn exactly<const N: usize>(args: Vec<Node>) -> Option<[Node; N]> {
    args.try_into().ok()
}

/// Terms of `&&` or `||` in one list: the parser makes a balanced tree of them.
fn flat(two: [Node; 2], and: bool) -> Vec<Node> {
    let mut terms = Vec::new();
    for Node { span, kind } in two {
        match kind {
            NodeKind::And(more) if and => terms.extend(more),
            NodeKind::Or(more) if !and => terms.extend(more),
            kind => terms.push(Node { span, kind }),
        }
    }
    terms
}
