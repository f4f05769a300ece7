//! What is asked of YAML texts from outside before they are read.

use saphyr_parser::{Event, Parser};

/// Bytes that a text can come to once its aliases (YAML 1.2.2, 7.1) are followed, each a copy to its reader: a thousand
/// bytes can ask for gigabytes. An upper bound where aliases do not lie within one another, which readers bound themselves.
pub(crate) fn expanded_size(yaml: &[u8]) -> usize {
    let text = String::from_utf8_lossy(yaml);
    // What is no YAML the reader will say; the parser says it without end.
    let events = Parser::new_from_str(&text).map_while(Result::ok);
    let aliases = events.filter(|(event, _)| matches!(event, Event::Alias(_)));
    yaml.len().saturating_mul(1 + aliases.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_counts_as_a_copy() {
        assert_eq!(expanded_size(b"a: 1\nb: 2\n"), 10);
        let text = b"a: &x 1\nb: *x\nc: *x\n";
        assert_eq!(expanded_size(text), 3 * text.len());
        assert_eq!(expanded_size(b"a: [*x, }\n"), 10);
    }
}
