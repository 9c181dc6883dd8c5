//! JSON that the renderer has made, taken apart: it has no space between tokens, and one way to
//! write each value, so that equal texts are equal values.

/// What a text is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parts<'a> {
    /// Names as they are written, without quotes; and values.
    Object(Vec<(&'a str, &'a str)>),
    Array(Vec<&'a str>),
    /// Anything else.
    Scalar,
}

/// Takes a text apart, one level of it.
pub(super) fn parts(text: &str) -> Parts<'_> {
    let inside = |open: char, close: char| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(inside) = inside('[', ']') {
        return Parts::Array(split(inside, b','));
    }
    match inside('{', '}') {
        Some(inside) => Parts::Object(split(inside, b',').into_iter().filter_map(member).collect()),
        None => Parts::Scalar,
    }
}

fn member(text: &str) -> Option<(&str, &str)> {
    let name = split(text, b':').into_iter().next()?;
    let value = text.get(name.len() + 1..)?;
    Some((name.strip_prefix('"')?.strip_suffix('"')?, value))
}

/// The parts of a text between separators that stand in no string, object or array.
fn split(text: &str, separator: u8) -> Vec<&str> {
    let mut found = Vec::new();
    if text.is_empty() {
        return found;
    }
    let (mut begin, mut depth, mut quoted, mut escaped) = (0, 0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ if byte == separator && depth == 0 => {
                found.extend(text.get(begin..at));
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.extend(text.get(begin..));
    found
}

/// A name as it is meant.
pub(super) fn unescaped(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name.chars();
    while let Some(letter) = rest.next() {
        let meant = match letter {
            '\\' => match rest.next() {
                Some('n') => Some('\n'),
                Some('r') => Some('\r'),
                Some('t') => Some('\t'),
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
                }
                other => other,
            },
            letter => Some(letter),
        };
        plain.extend(meant);
    }
    plain
}

/// Appends a text in quotes.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            letter if letter < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_level_taken_apart() {
        assert_eq!(parts("[]"), Parts::Array(vec![]));
        assert_eq!(parts("{}"), Parts::Object(vec![]));
        assert_eq!(parts("[1,[2,3],\"a,b]\"]"), Parts::Array(vec!["1", "[2,3]", "\"a,b]\""]));
        let object = r#"{"a":{"b":1,"c":[]},"q\"}:,":"\\","x":null}"#;
        let members = vec![("a", r#"{"b":1,"c":[]}"#), (r#"q\"}:,"#, r#""\\""#), ("x", "null")];
        assert_eq!(parts(object), Parts::Object(members));
        for scalar in ["1", "null", "\"[\"", "true", ""] {
            assert_eq!(parts(scalar), Parts::Scalar);
        }
    }

    #[test]
    fn do_names_come_back() {
        let name = "a\"\\\n\u{1}/~é";
        let mut quoted = String::new();
        quote(name, &mut quoted);
        let inside = quoted.trim_start_matches('"').strip_suffix('"').expect("quoted");
        assert_eq!(unescaped(inside), name);
        assert_eq!(unescaped(r"\n\r\t\u00e9\ud800"), "\n\r\té");
    }
}
