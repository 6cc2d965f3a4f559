//! Tables for people: aligned at a terminal, or as Markdown for a merge request.

/// A table whose cells are texts.
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// With columns aligned; numbers to the right.
    pub(super) fn text(&self) -> String {
        let widths: Vec<usize> = (0..self.header.len()).map(|column| self.width(column)).collect();
        let mut text = String::new();
        let header: Vec<String> = self.header.iter().map(|cell| (*cell).to_owned()).collect();
        for row in [&header].into_iter().chain(&self.rows) {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if self.is_numbers(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text.trim_end().to_owned()
    }

    /// As Markdown.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        let mut text = line(&mut self.header.iter().map(|cell| (*cell).to_owned()));
        let rule = |column| if self.is_numbers(column) { "---:".to_owned() } else { "---".to_owned() };
        text.push_str(&line(&mut (0..self.header.len()).map(rule)));
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(|cell| escaped(cell))));
        }
        text.trim_end().to_owned()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(self.header.get(column).map(|cell| cell.len())).max().unwrap_or(0)
    }

    fn is_numbers(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column)).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b','))
    }
}

/// A text of an event or a rule in Markdown: nothing in it is markup, a link or a mention.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '@' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A text on a terminal: one line, and nothing that moves the cursor.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A number with its thousands apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many of all, in percent.
pub(super) fn share(part: u64, all: u64) -> String {
    // In hundredths of a percent; a whole of 2^50 events is beyond any file.
    let hundredths = part.saturating_mul(10_000).checked_div(all).unwrap_or(0);
    format!("{}.{:02} %", hundredths.div_euclid(100), hundredths.rem_euclid(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_for_people_and_harmless_as_markdown() {
        let mut table = Table::new(&["rule", "hits"]);
        table.row(vec!["WXP-1001".to_owned(), "7".to_owned()]);
        table.row(vec!["a|b <@x>".to_owned(), "1,200".to_owned()]);
        assert_eq!(table.text(), "rule       hits\nWXP-1001      7\na|b <@x>  1,200");
        assert_eq!(
            table.markdown(),
            "| rule | hits |\n| --- | ---: |\n| WXP-1001 | 7 |\n| a\\|b &lt;\\@x&gt; | 1,200 |"
        );
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((share(1, 3), share(0, 0), share(5, 5)), ("33.33 %".into(), "0.00 %".into(), "100.00 %".into()));
    }
}
