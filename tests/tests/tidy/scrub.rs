//! Rust without comments and literals, so that rules see code only.

use std::iter::Peekable;
use std::str::Chars;

/// `text` with comments, strings and characters blanked out, line for line.
pub(crate) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut last = ' ';
    while let Some(letter) = rest.next() {
        let word = last.is_alphanumeric() || last == '_';
        match (letter, rest.peek()) {
            ('/', Some('/')) => while rest.next_if(|letter| *letter != '\n').is_some() {},
            ('/', Some('*')) => block_comment(&mut rest, &mut out),
            ('"', _) => string(&mut rest, &mut out),
            ('r', Some('"' | '#')) if !word || last == 'b' => raw(&mut rest, &mut out),
            ('\'', Some(_)) => quote(&mut rest, &mut out),
            _ => out.push(letter),
        }
        last = letter;
    }
    out
}

/// `code` without what stands under `#[cfg(test)]`, line for line.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        out.push('\n');
        if line.trim() != "#[cfg(test)]" {
            out.push_str(line);
            continue;
        }
        // What follows ends with its braces, or without any at a semicolon.
        let mut depth = 0_i32;
        for line in lines.by_ref() {
            out.push('\n');
            depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
            if depth == 0 && (line.ends_with(['}', ';'])) {
                break;
            }
        }
    }
    out.split_off(usize::from(!out.is_empty()))
}

type Letters<'a> = Peekable<Chars<'a>>;

fn block_comment(rest: &mut Letters<'_>, out: &mut String) {
    let (mut depth, mut last) = (1, ' ');
    rest.next();
    for letter in rest.by_ref() {
        out.extend(Some(letter).filter(|letter| *letter == '\n'));
        match (last, letter) {
            ('/', '*') => (depth, last) = (depth + 1, ' '),
            ('*', '/') => (depth, last) = (depth - 1, ' '),
            _ => last = letter,
        }
        if depth == 0 {
            break;
        }
    }
}

fn string(rest: &mut Letters<'_>, out: &mut String) {
    out.push_str("\"\"");
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => out.extend(rest.next().filter(|letter| *letter == '\n')),
            '"' => break,
            _ => out.extend(Some(letter).filter(|letter| *letter == '\n')),
        }
    }
}

/// Behind an `r` that begins a raw string, or a raw name such as `r#type`.
fn raw(rest: &mut Letters<'_>, out: &mut String) {
    let mut hashes = 0;
    while rest.next_if(|letter| *letter == '#').is_some() {
        hashes += 1;
    }
    if rest.next_if(|letter| *letter == '"').is_none() {
        out.push_str("r#");
        return;
    }
    out.push_str("\"\"");
    while let Some(letter) = rest.next() {
        out.extend(Some(letter).filter(|letter| *letter == '\n'));
        if letter == '"' {
            let mut ends = 0;
            while ends < hashes && rest.next_if(|letter| *letter == '#').is_some() {
                ends += 1;
            }
            if ends == hashes {
                break;
            }
        }
    }
}

/// Behind a `'`: a character, which is left out, or a lifetime, which stays.
fn quote(rest: &mut Letters<'_>, out: &mut String) {
    let mut ahead = rest.clone();
    let first = ahead.next();
    if first == Some('\\') {
        rest.next();
        rest.next();
        while rest.next().is_some_and(|letter| letter != '\'') {}
    } else if ahead.next() == Some('\'') {
        rest.next();
        rest.next();
    } else {
        out.push('\'');
    }
}

#[test]
fn is_only_code_left() {
    let text = "a // unsafe\n/* unsafe /* x */ \n unsafe */ b \"unsafe \\\" unsafe\" c r#\"un\"safe\"# d\n\
                e '\"' f '\\'' g 'static h r#type br\"unsafe\" i\n";
    let found = code(text);
    assert_eq!(found.lines().count(), text.lines().count());
    let expected = "a \n\n b \"\" c \"\" d\ne  f  g 'static h r#type b\"\" i\n";
    assert_eq!(found, expected);
}

#[test]
fn are_tests_left_out() {
    let text = "a\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nc\n#[cfg(test)]\nuse d;\ne\n";
    assert_eq!(without_tests(text).lines().collect::<Vec<_>>().join(""), "ace");
    assert_eq!(without_tests(text).lines().count(), text.lines().count());
}
