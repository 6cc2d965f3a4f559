//! The reference in the documentation is the code's own.

use super::semantics::HOLDS;
use super::*;
use crate::risk::expr::reference::{FUNCTIONS, json, markdown};
use crate::risk::schema::FIELDS;

const DOC: &str = include_str!("../../../../docs/expressions.md");

#[test]
fn the_docs_have_the_reference_as_the_code_tells_it() {
    let (_, from) = DOC.split_once("<!-- from the code: begin -->\n\n").unwrap();
    let (written, _) = from.split_once("<!-- from the code: end -->").unwrap();
    let told = markdown();
    for (line, (written, told)) in written.lines().zip(told.lines()).enumerate() {
        assert_eq!(written, told, "line {line} of the reference");
    }
    assert_eq!(written, told, "replace what is between the marks by:\n{told}");
}

#[test]
fn each_example_of_the_documentation_compiles() {
    let mut seen = 0;
    for block in DOC.split("```cel\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            condition(line.split(" //").next().unwrap());
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} examples");
}

#[test]
fn each_function_of_the_reference_is_tested() {
    for function in &FUNCTIONS {
        assert!(HOLDS.iter().any(|text| text.contains(function.name)), "{}", function.name);
    }
}

#[test]
fn each_field_can_be_asked_for() {
    for field in FIELDS.iter().filter(|field| !matches!(field.ty, Type::List(_))) {
        let scope = Scope::new(Family::Any);
        let expr = compile(&format!("has({})", field.path), &scope, Want::Condition).unwrap();
        assert_eq!(expr.reads().fields.len(), 1);
    }
    assert_eq!(json()["fields"].as_array().unwrap().len(), FIELDS.len());
}
