//! How the language is declared: each mapping of a topology is a [`Shape`], a table of its keys with kind, default and meaning. The check
//! of the form, the defaults that the plan reads and the JSON Schema all come from these tables, so they cannot disagree.

/// A mapping with known keys.
#[derive(Debug)]
pub struct Shape {
    /// What an error calls it.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// Keys of which exactly one must be there.
    pub one_of: &'static [&'static str],
}

/// A key of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it is when it is not there.
    pub default: Option<&'static str>,
    /// A value as it may stand in a file.
    pub example: Option<&'static str>,
    /// What it means.
    pub about: &'static str,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text as it is.
    Text,
    /// Text that no error shows.
    Secret,
    /// Text in which `{name}` is a variable.
    Name,
    /// Like [`Kind::Name`], with `{delay}` left as it is.
    DelayName,
    /// The name of something declared.
    Reference,
    /// A name that expressions can say: letters, digits, `_`.
    Binding,
    /// `true` or `false`.
    Bool,
    /// A whole number that is at least this.
    Integer(u64),
    /// A number above zero.
    Number,
    /// A whole number from one to the other.
    Within(i64, i64),
    /// A number from one to the other.
    Between(f64, f64),
    /// A duration that is at least so many milliseconds.
    Duration(u64),
    /// An instant.
    Instant,
    /// A number of bytes that is at least this.
    Size(u64),
    /// An expression.
    Expression,
    /// A text with expressions in braces.
    Template,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The type of a column, or `{type: meaning}`.
    Column,
    /// The type of a field, or `{type: expression}`.
    Field,
    /// A list.
    List(&'static Kind),
    /// A list of so many, each of its own kind.
    Tuple(&'static [Kind]),
    /// A mapping with free keys.
    Map(Names, &'static Kind),
    /// A mapping with known keys.
    Object(&'static Shape),
    /// Any value: what it means is said by what it is compared with, or sent as.
    Any,
    /// Any value; in it a mapping with a key that begins with `$` is the one of these whose first key that is.
    Tree(&'static [&'static Shape]),
    /// A list, or a mapping.
    ListOr(&'static Kind, &'static Shape),
    /// One of these words, or a mapping.
    ChoiceOr(&'static [&'static str], &'static Shape),
}

/// What the free keys of a mapping may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Anything.
    Any,
    /// Names of things: letters, digits, `_`, `-`, `.`.
    Things,
    /// Names that expressions can say: letters, digits, `_`.
    Bindings,
    /// HTTP statuses.
    Statuses,
}

impl Key {
    /// An optional key.
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Key { name, kind, required: false, default: None, example: None, about }
    }

    /// It must be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Key { required: true, ..self }
    }

    /// What it is when it is not there.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Key { default: Some(default), ..self }
    }

    /// A value as it may stand in a file, written as in YAML.
    #[must_use]
    pub const fn like(self, example: &'static str) -> Self {
        Key { example: Some(example), ..self }
    }
}

impl Shape {
    /// What it is, with the keys that it must have.
    fn with_keys(&self) -> String {
        let required: Vec<&str> = self.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
        match (self.one_of, required.as_slice()) {
            ([], []) => self.name.to_owned(),
            ([], keys) => format!("{} with `{}`", self.name, keys.join("`, `")),
            (one_of, []) => format!("{} with one of `{}`", self.name, one_of.join("`, `")),
            (one_of, keys) => {
                format!("{} with `{}` and one of `{}`", self.name, keys.join("`, `"), one_of.join("`, `"))
            }
        }
    }

    /// The key called `name`.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }
}

impl Kind {
    /// What an error says was expected.
    pub fn expected(&self) -> String {
        match self {
            Kind::Text | Kind::Secret | Kind::Name | Kind::DelayName => "text".into(),
            Kind::Reference => "a name".into(),
            Kind::Binding => "a name of letters, digits and `_`".into(),
            Kind::Bool => "`true` or `false`".into(),
            Kind::Integer(0) => "a whole number".into(),
            Kind::Integer(least) => format!("a whole number of at least {least}"),
            Kind::Number => "a number above zero".into(),
            Kind::Within(i64::MIN, i64::MAX) => "a whole number".into(),
            Kind::Within(least, most) => format!("a whole number from {least} to {most}"),
            Kind::Between(f64::MIN, _) => "a number".into(),
            Kind::Between(least, f64::MAX) => format!("a number of at least {least}"),
            Kind::Between(least, most) => format!("a number from {least} to {most}"),
            Kind::Instant => "an instant such as `2026-01-10T08:00:00Z`".into(),
            Kind::Duration(_) => "a duration such as `250ms`, `30s`, `5m`, `24h`, `7d`, or a number of seconds".into(),
            Kind::Size(_) => "a size such as `64KiB`, `16MiB`, `1GiB`, or a number of bytes".into(),
            Kind::Expression => "an expression".into(),
            Kind::Template => "a template such as `/orders/{event.id}`".into(),
            Kind::Choice(words) => format!("one of `{}`", words.join("`, `")),
            Kind::Column => "a type such as `string` or `id!`, or `{type: meaning}`".into(),
            Kind::Field => "a type such as `string` or `id!`, or `{type: expression}`".into(),
            Kind::List(inner) => format!("a list, each element {}", inner.expected()),
            Kind::Tuple(kinds) => {
                let kinds: Vec<String> = kinds.iter().map(Kind::expected).collect();
                format!("a list of {}: {}", kinds.len(), kinds.join(", "))
            }
            Kind::Map(_, inner) => format!("a mapping, each value {}", inner.expected()),
            Kind::Object(shape) => format!("a mapping: {}", shape.with_keys()),
            Kind::Any | Kind::Tree(_) => "any value".into(),
            Kind::ListOr(inner, shape) => {
                format!("a list, each element {}, or a mapping: {}", inner.expected(), shape.name)
            }
            Kind::ChoiceOr(words, shape) => {
                format!("one of `{}`, or a mapping: {}", words.join("`, `"), shape.with_keys())
            }
        }
    }
}
