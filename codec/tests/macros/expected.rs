//! What tools shall show, written without the code that shows it.

use super::{Everything, Gate, Payment, Rule, Seat};

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

pub(super) fn string(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if (c as u32) < 32 => out += &format!("\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    format!("\"{out}\"")
}

fn float(text: String, finite: bool) -> String {
    if finite { text } else { format!("\"{text}\"") }
}

fn seat(seat: &Seat) -> String {
    format!(r#"{{"row":{},"letter":{}}}"#, seat.row, string(&seat.letter.to_string()))
}

fn payment(payment: &Payment) -> String {
    match payment {
        Payment::Cash => r#""Cash""#.into(),
        Payment::Card(a, b) => format!(r#"{{"Card":{{"0":{a},"1":{}}}}}"#, string(b)),
        Payment::Voucher { r#type, seat: s } => {
            let seat = s.as_ref().map_or("null".into(), seat);
            format!(r#"{{"Voucher":{{"type":{type},"seat":{seat}}}}}"#)
        }
    }
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::Always => r#""Always""#.into(),
        Rule::Not(inner) => format!(r#"{{"Not":{{"0":{}}}}}"#, self::rule(inner)),
        Rule::All { rules, name } => {
            let rules = list(rules.iter().map(self::rule));
            format!(r#"{{"All":{{"rules":{rules},"name":{}}}}}"#, string(name))
        }
    }
}

pub(super) fn everything(e: &Everything) -> String {
    let (u, s) = (&e.unsigned, &e.signed);
    let fields = [
        ("flag", e.flag.to_string()),
        (
            "unsigned",
            format!(r#"{{"0":{},"1":{},"2":{},"3":{},"4":"{}"}}"#, u.0, u.1, u.2, u.3, u.4),
        ),
        ("signed", format!(r#"{{"0":{},"1":{},"2":{},"3":{},"4":"{}"}}"#, s.0, s.1, s.2, s.3, s.4)),
        ("single", float(format!("{:?}", e.single), e.single.is_finite())),
        ("double", float(format!("{:?}", e.double), e.double.is_finite())),
        ("letter", string(&e.letter.to_string())),
        ("text", string(&e.text)),
        ("boxed_text", string(&e.boxed_text)),
        ("bytes", list(e.bytes.iter().map(u8::to_string))),
        ("names", list(e.names.iter().map(|name| string(name)))),
        ("slice", list(e.slice.iter().map(u32::to_string))),
        ("array", list(e.array.iter().map(u16::to_string))),
        ("seats", list(e.seats.iter().map(seat))),
        ("maybe", e.maybe.map_or("null".into(), |n| n.to_string())),
        ("maybe_text", e.maybe_text.as_ref().map_or("null".into(), |text| string(text))),
        ("boxed", seat(&e.boxed)),
        ("unit", "null".into()),
        ("id", format!(r#""{}""#, e.id)),
        ("wait", format!(r#"{{"secs":{},"nanos":{}}}"#, e.wait.as_secs(), e.wait.subsec_nanos())),
        ("price", format!(r#"{{"0":{}}}"#, e.price.0)),
        ("span", format!(r#"{{"0":{},"1":{}}}"#, e.span.0, string(&e.span.1))),
        ("class", format!(r#""{:?}""#, e.class)),
        ("payment", payment(&e.payment)),
        (
            "gate",
            match e.gate {
                Gate::None => r#""None""#.into(),
                Gate::Some(n) => format!(r#"{{"Some":{{"0":{n}}}}}"#),
            },
        ),
        ("rule", rule(&e.rule)),
        ("payments", list(e.payments.iter().map(payment))),
        ("type", e.r#type.to_string()),
    ];
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}
