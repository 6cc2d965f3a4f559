//! `x in …`: a list of the rule set, a list that is written there, a block of addresses, a list that a field holds.

use super::operators::{bit, narrowed};
use super::{Checked, Checker, literal, names::note};
use crate::risk::expr::known::Known;
use crate::risk::expr::lists::Blocks;
use crate::risk::expr::node::{Bool, Ip, IpTest, Lowered, Num, NumberSet, Text, TextSet, TextTest};
use crate::risk::expr::parse::{Node, NodeKind};
use crate::risk::expr::{Code, ExprProblem, Kept, ListUse, Span};
use crate::risk::schema::{Element, Source, Type, field};
use ipnet::IpNet;

impl Checker<'_> {
    pub(super) fn membership(&mut self, left: Checked, right: &Node, known: Known, span: Span) -> Option<Checked> {
        self.pay(4)?;
        match &right.kind {
            NodeKind::List(items) => self.in_items(left, items, known, span, right.span),
            NodeKind::Call { name, target: None, args, .. } if name == "cidr" => {
                let block = self.block(args, right.span)?;
                self.in_blocks(left, vec![block], known, span)
            }
            _ => match right.path() {
                Some(path) => self.in_named(left, &path, right, known, span),
                None => self.no_list(right.span),
            },
        }
    }

    fn no_list<T>(&mut self, span: Span) -> Option<T> {
        let problem = ExprProblem::new(Code::TypeMismatch, span, "`in` looks into a list, this is none");
        self.tell(problem.suggest("write `in list.NAME`, `in [a, b]` or `in cidr(\"…\")`"))
    }

    fn in_named(&mut self, left: Checked, path: &str, right: &Node, known: Known, span: Span) -> Option<Checked> {
        if let Some(name) = path.strip_prefix("list.") {
            let index = self.list(name, right.span)?;
            let condition = self.in_list(left, index, span)?;
            return Some(Checked::condition(condition, known, known, span));
        }
        if self.scope.macro_named(path).is_some() {
            return self.in_macro(path, right.span, |checker, body| checker.membership(left, body, known, span));
        }
        let Some(id) = field(path) else {
            self.name(right, known);
            return None;
        };
        if id.field().ty != Type::List(Element::Text) {
            return self.no_list(right.span);
        }
        note(&mut self.reads.fields, id);
        let (ty, site) = (left.ty(), self.site(right.span));
        match left.lowered {
            Lowered::Text(text) | Lowered::Member(_, text) => {
                let condition = Bool::Text(Box::new(TextTest::InField(text, id, site)));
                Some(Checked::condition(condition, known, known, span))
            }
            _ => self.unfit(ty, Element::Text, span),
        }
    }

    fn unfit<T>(&mut self, ty: Type, element: Element, span: Span) -> Option<T> {
        let message = format!("{} is not looked for in a {}", ty.name(), Type::List(element).name());
        self.tell(ExprProblem::new(Code::TypeMismatch, span, message))
    }

    fn in_list(&mut self, left: Checked, index: usize, span: Span) -> Option<Bool> {
        let (element, kept, name) =
            self.scope.lists.get(index).map(|list| (list.element, list.kept, list.name.clone()))?;
        let (ty, left_span) = (left.ty(), left.span);
        if kept == Kept::InStore {
            let (Lowered::Text(Text::Field(id, _)) | Lowered::Member(_, Text::Field(id, _))) = left.lowered else {
                let message = format!(
                    "list `{name}` is kept in the store, which is asked for fields of text before anything is computed"
                );
                let problem = ExprProblem::new(Code::Unsupported, left_span, message);
                return self.tell(problem.suggest("write a field before `in`, or keep the list in memory"));
            };
            if matches!(id.field().source, Source::Order(_)) {
                let message = format!("list `{name}` is kept in the store and asked before the order is known");
                return self
                    .tell(ExprProblem::new(Code::Unsupported, left_span, message).suggest("keep the list in memory"));
            }
            let ask = ListUse { list: index, field: id };
            note(&mut self.reads.asks, ask);
            return Some(Bool::Asked(ask, self.site(span)));
        }
        self.pay(8)?;
        let site = self.site(span);
        match (element, left.lowered) {
            (Element::Text, Lowered::Text(text) | Lowered::Member(_, text)) => {
                Some(Bool::Text(Box::new(TextTest::Listed(text, index, site))))
            }
            (Element::Int, Lowered::Number(number, Type::Int | Type::Fen)) => {
                Some(Bool::NumberListed(Box::new(number), index, site))
            }
            (Element::Cidr, Lowered::Ip(ip)) => Some(Bool::Ip(Box::new(IpTest::Listed(ip, index, site)))),
            _ => self.unfit(ty, element, span),
        }
    }

    fn in_items(&mut self, left: Checked, items: &[Node], known: Known, span: Span, list: Span) -> Option<Checked> {
        if items.is_empty() {
            return self.tell(ExprProblem::new(Code::BadLiteral, list, "nothing is in an empty list"));
        }
        if left.ty() == Type::Ip {
            let blocks: Vec<_> = items.iter().map(|item| self.block_item(item, known)).collect();
            return self.in_blocks(left, blocks.into_iter().collect::<Option<_>>()?, known, span);
        }
        let ty = left.ty();
        let checked: Vec<_> = items.iter().map(|item| self.item(item, ty, known)).collect();
        let items = checked.into_iter().collect::<Option<Vec<_>>>()?;
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for item in &items {
            match item {
                Lowered::Text(Text::Const(text)) | Lowered::Member(_, Text::Const(text)) => texts.push(text.clone()),
                Lowered::Number(Num::Const(number), _) => numbers.push(*number),
                _ => {}
            }
        }
        if texts.len().max(numbers.len()) < items.len() {
            return self.in_values(left.lowered, items, known, span);
        }
        let condition = match left.lowered {
            Lowered::Member(of, Text::Field(id, site)) => {
                let codes = texts.iter().fold(0, |codes, word| codes | bit(of.code(word)));
                let (yes, no) = narrowed(id, codes, known);
                return Some(Checked::condition(Bool::Member(id, codes, site), yes, no, span));
            }
            Lowered::Member(_, text) | Lowered::Text(text) => {
                Bool::Text(Box::new(TextTest::In(text, TextSet::new(texts))))
            }
            Lowered::Number(number, _) => Bool::NumberIn(Box::new((number, NumberSet::new(numbers)))),
            Lowered::Bool(_) | Lowered::Ip(_) | Lowered::Ratio(_) => {
                let message = format!("{} is not looked for in a list", ty.name());
                return self.tell(ExprProblem::new(Code::TypeMismatch, span, message));
            }
        };
        Some(Checked::condition(condition, known, known, span))
    }

    /// One item of a list, as the type of what is looked for.
    fn item(&mut self, item: &Node, ty: Type, known: Known) -> Option<Lowered> {
        let checked = self.check(item, known)?;
        let (span, own) = (checked.span, checked.ty());
        let lowered = self.as_type(checked, ty)?;
        if lowered.ty() == ty {
            return Some(lowered);
        }
        let code = if ty == Type::Fen && own == Type::Int { Code::MoneyAndNumber } else { Code::TypeMismatch };
        let problem =
            ExprProblem::new(code, span, format!("{} is looked for among this, which is {}", ty.name(), own.name()));
        self.tell(if code == Code::MoneyAndNumber {
            problem.suggest("write `fen(…)` or `yuan(…)`")
        } else {
            problem
        })
    }

    /// A list of values that are not all constants.
    fn in_values(&mut self, left: Lowered, items: Vec<Lowered>, known: Known, span: Span) -> Option<Checked> {
        let ty = left.ty();
        self.pay(u32::try_from(items.len()).unwrap_or(u32::MAX).saturating_mul(4))?;
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Lowered::Number(number, _) => numbers.push(number),
                Lowered::Text(text) | Lowered::Member(_, text) => texts.push(text),
                Lowered::Bool(_) | Lowered::Ip(_) | Lowered::Ratio(_) => {}
            }
        }
        let condition = match left {
            Lowered::Number(number, _) => Bool::NumberAmong(Box::new((number, numbers.into()))),
            Lowered::Text(text) | Lowered::Member(_, text) => Bool::Text(Box::new(TextTest::Among(text, texts.into()))),
            Lowered::Bool(_) | Lowered::Ip(_) | Lowered::Ratio(_) => {
                let message = format!("{} is not looked for in a list", ty.name());
                return self.tell(ExprProblem::new(Code::TypeMismatch, span, message));
            }
        };
        Some(Checked::condition(condition, known, known, span))
    }

    fn in_blocks(&mut self, left: Checked, blocks: Vec<IpNet>, known: Known, span: Span) -> Option<Checked> {
        let ty = left.ty();
        let Lowered::Ip(ip) = left.lowered else { return self.unfit(ty, Element::Cidr, span) };
        let condition = Bool::Ip(Box::new(IpTest::In(ip, Blocks::new(blocks))));
        Some(Checked::condition(condition, known, known, span))
    }

    /// An address or a block in a list.
    fn block_item(&mut self, item: &Node, known: Known) -> Option<IpNet> {
        match &item.kind {
            NodeKind::Text(text) => self.block_text(text, item.span),
            NodeKind::Call { name, target: None, args, .. } if name == "cidr" => self.block(args, item.span),
            _ => {
                let checked = self.check(item, known)?;
                if let Lowered::Ip(Ip::Const(ip)) = checked.lowered {
                    return Some(IpNet::from(ip));
                }
                let problem =
                    ExprProblem::new(Code::TypeMismatch, item.span, "only written addresses can be in this list");
                self.tell(problem.suggest("compare with `==`"))
            }
        }
    }

    /// The argument of `cidr(…)`.
    pub(super) fn block(&mut self, args: &[Node], span: Span) -> Option<IpNet> {
        match args {
            [Node { kind: NodeKind::Text(text), span }] => self.block_text(text, *span),
            _ => self.tell(ExprProblem::new(
                Code::Arguments,
                span,
                "`cidr` takes one literal text, `cidr(\"203.0.113.0/24\")`",
            )),
        }
    }

    fn block_text(&mut self, text: &str, span: Span) -> Option<IpNet> {
        if let Some(block) = literal::block(text) {
            return Some(block);
        }
        let problem = ExprProblem::new(Code::BadLiteral, span, format!("`{text}` is no block of addresses"));
        self.tell(match text.parse::<IpNet>() {
            Ok(net) => problem.suggest(format!("the block that has it is `{}`", net.trunc())),
            Err(_) => problem.suggest("write `203.0.113.0/24` or `2001:db8::/32`"),
        })
    }
}
