//! What names mean to expressions: the shapes of what the engine binds, and of what stages bind.

use connectors::Category;
use connectors::table::ColumnType;
use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _};

use super::scope::Scope;
use crate::expr::Json;
use crate::expr::gist::{self, Gist, Kinds};
use crate::plan::{Field, Status};
use crate::topology::value;

/// What a name means to an expression.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    /// Anything: its fields are not known.
    Free,
    /// A value of a type; none: any.
    Value(Option<ColumnType>),
    /// A value of these kinds, of no type that is known.
    Kinds(Kinds),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Exactly these fields.
    Fields(Members),
    /// These fields, and others.
    Open(Members),
    /// A list of these.
    List(Box<Binding>),
}

/// Fields by name.
type Members = Vec<(String, Binding)>;

/// The words of `outcome.error.category`.
const CATEGORIES: &[&str] = &[
    Category::Transient.as_str(),
    Category::Auth.as_str(),
    Category::Permanent.as_str(),
    Category::CircuitOpen.as_str(),
    Category::Unknown.as_str(),
];

/// The words of `type(value)`.
const TYPES: &[&str] = &["array", "boolean", "null", "number", "object", "string"];

impl Binding {
    /// What an expression's value is, as far as that is known without data.
    pub(super) fn of(gist: &Gist, scope: &Scope) -> Binding {
        match gist {
            Gist::Unknown => Binding::Free,
            Gist::Path(path) => scope.binding(path).cloned().unwrap_or(Binding::Free),
            Gist::Constant(value) => Binding::constant(value),
            Gist::Call("type") => Binding::Word(TYPES),
            Gist::Call(name) => match gist::signature(name) {
                Some(signature) => match signature.kind {
                    Some(kind) => Binding::Value(Some(kind)),
                    None => Binding::of_kinds(signature.gives),
                },
                None => Binding::Free,
            },
            Gist::Either(all) => {
                let all = all.iter().map(|gist| Binding::of(gist, scope));
                all.reduce(Binding::join).unwrap_or(Binding::Free)
            }
            Gist::And(left, right) => {
                let right = Binding::of(right, scope);
                let falsy = left.possible(&|path| scope.kinds(path)).falsy();
                match right {
                    // Of what is false or empty every field is null.
                    Binding::Fields(_) | Binding::Open(_) | Binding::List(_) => right,
                    _ if falsy == Kinds::NONE => right,
                    _ => Binding::of_kinds(falsy.or(right.kinds())),
                }
            }
            Gist::Bool => Binding::Value(Some(ColumnType::Bool)),
            Gist::List(element) => Binding::List(Box::new(Binding::of(element, scope))),
            Gist::Object(members) => {
                Binding::Fields(members.iter().map(|(name, gist)| (name.clone(), Binding::of(gist, scope))).collect())
            }
        }
    }

    fn constant(value: &Json) -> Binding {
        if let Some(object) = value.as_object() {
            return Binding::Fields(object.iter().map(|(k, v)| (k.to_owned(), Binding::constant(v))).collect());
        }
        match value {
            _ if value.is_null() => Binding::Kinds(Kinds::NONE),
            _ if value.is_boolean() => Binding::Value(Some(ColumnType::Bool)),
            _ if value.is_str() => Binding::Value(Some(ColumnType::Text)),
            _ if value.as_i64().is_some() => Binding::Value(Some(ColumnType::Int64)),
            _ if value.is_number() => Binding::Value(Some(ColumnType::Float64)),
            _ => Binding::List(Box::new(Binding::Free)),
        }
    }

    fn of_kinds(kinds: Kinds) -> Binding {
        match kinds {
            Kinds::ANY => Binding::Free,
            Kinds::LIST => Binding::List(Box::new(Binding::Free)),
            Kinds::OBJECT => Binding::Open(Vec::new()),
            _ => Binding::Kinds(kinds),
        }
    }

    /// What is one of two.
    fn join(self, other: Binding) -> Binding {
        match (self, other) {
            (Binding::Kinds(Kinds::NONE), known) | (known, Binding::Kinds(Kinds::NONE)) => known,
            (Binding::Value(a), Binding::Value(b)) if a == b => Binding::Value(a),
            (Binding::Word(a), Binding::Word(b)) if a == b => Binding::Word(a),
            (Binding::Fields(a), Binding::Fields(b)) => Binding::Fields(both(a, true, b, true)),
            (Binding::Fields(a), Binding::Open(b)) => Binding::Open(both(a, true, b, false)),
            (Binding::Open(a), Binding::Fields(b)) => Binding::Open(both(a, false, b, true)),
            (Binding::Open(a), Binding::Open(b)) => Binding::Open(both(a, false, b, false)),
            (Binding::List(a), Binding::List(b)) => Binding::List(Box::new(a.join(*b))),
            (a, b) => Binding::of_kinds(a.kinds().or(b.kinds())),
        }
    }

    /// The kinds of its values.
    pub(super) fn kinds(&self) -> Kinds {
        match self {
            Binding::Free => Kinds::ANY,
            Binding::Value(kind) => Kinds::of(*kind),
            Binding::Kinds(kinds) => *kinds,
            Binding::Word(_) => Kinds::TEXT,
            Binding::Fields(_) | Binding::Open(_) => Kinds::OBJECT,
            Binding::List(_) => Kinds::LIST,
        }
    }

    /// The type of its values, where they have one.
    pub(super) fn kind(&self) -> Option<ColumnType> {
        match self {
            Binding::Value(kind) => *kind,
            Binding::Word(_) => Some(ColumnType::String),
            _ => None,
        }
    }

    /// A few words on what it is: `of type \`id\``, `an object`.
    pub(super) fn shown(&self) -> String {
        match self.kind() {
            Some(kind) => format!("of type `{}`", value::kind_name(Some(kind))),
            None => self.kinds().to_string(),
        }
    }

    /// What an `enrich` binds: the answer and an instant; of pages an object of two.
    pub(super) fn answer(pages: bool) -> Binding {
        let instant = ("fetched_at".to_owned(), Binding::Value(Some(ColumnType::Timestamp)));
        if pages {
            return Binding::Fields(vec![("data".into(), Binding::List(Box::new(Binding::Free))), instant]);
        }
        Binding::Open(vec![instant])
    }

    fn fields(fields: &[(&str, Option<ColumnType>)]) -> Binding {
        Binding::Fields(fields.iter().map(|(name, kind)| ((*name).to_owned(), Binding::Value(*kind))).collect())
    }

    pub(super) fn event(message: &[Field]) -> Binding {
        Binding::Fields(message.iter().map(|f| (f.name.to_string(), Binding::Value(f.kind))).collect())
    }

    pub(super) fn source() -> Binding {
        use ColumnType::{Int32, Int64, String, Text, Timestamp};
        let Binding::Fields(mut fields) = Binding::fields(&[
            ("topic", Some(String)),
            ("partition", Some(Int32)),
            ("offset", Some(Int64)),
            ("time", Some(Timestamp)),
            ("key", Some(Text)),
            ("attempt", Some(Int32)),
        ]) else {
            return Binding::Free;
        };
        fields.push(("headers".into(), Binding::Free));
        let origin = [("topic", Some(String)), ("partition", Some(Int32)), ("offset", Some(Int64))];
        fields.push(("origin".into(), Binding::fields(&origin)));
        Binding::Fields(fields)
    }

    pub(super) fn outcome() -> Binding {
        use ColumnType::{Int32, Int64, String, Text, Timestamp};
        let Binding::Fields(mut fields) = Binding::fields(&[
            ("reason", Some(Text)),
            ("attempts", Some(Int32)),
            ("calls", Some(Int64)),
            ("refreshes", Some(Int64)),
            ("duration_ms", Some(Int64)),
            ("at", Some(Timestamp)),
        ]) else {
            return Binding::Free;
        };
        fields.push(("status".into(), Binding::Word(Status::WORDS)));
        let error = [("message", Some(Text)), ("stage", Some(String)), ("status", Some(Int32))];
        let Binding::Fields(mut error) = Binding::fields(&error) else { return Binding::Free };
        error.push(("category".into(), Binding::Word(CATEGORIES)));
        fields.push(("error".into(), Binding::Fields(error)));
        Binding::Fields(fields)
    }

    pub(super) fn download() -> Binding {
        use ColumnType::{Int64, String, Text, Timestamp};
        Binding::fields(&[
            ("path", Some(Text)),
            ("bytes", Some(Int64)),
            ("sha256", Some(String)),
            ("content_type", Some(String)),
            ("extension", Some(String)),
            ("url", Some(Text)),
            ("downloaded_at", Some(Timestamp)),
            ("refreshes", Some(Int64)),
        ])
    }

    pub(super) fn upload() -> Binding {
        use ColumnType::{Bool, Int64, Text, Timestamp};
        Binding::fields(&[
            ("path", Some(Text)),
            ("url", Some(Text)),
            ("bytes", Some(Int64)),
            ("uploaded_at", Some(Timestamp)),
            ("missing", Some(Bool)),
        ])
    }

    pub(super) fn labels<'l>(labels: impl IntoIterator<Item = &'l str>) -> Binding {
        let label = |name: &str| (name.to_owned(), Binding::Value(Some(ColumnType::Bool)));
        Binding::Fields(labels.into_iter().map(label).collect())
    }
}

/// The fields of two objects; one whose other fields are not known may hold anything under a name that only the other has.
fn both(a: Members, a_is_whole: bool, b: Members, b_is_whole: bool) -> Members {
    let mut rest = b;
    let mut all: Members = Vec::new();
    for (name, of_a) in a {
        let of_b = rest.iter().position(|(other, _)| *other == name).map(|at| rest.remove(at).1);
        let field = match of_b {
            Some(of_b) => of_a.join(of_b),
            None if b_is_whole => of_a,
            None => Binding::Free,
        };
        all.push((name, field));
    }
    all.extend(rest.into_iter().map(|(name, of_b)| (name, if a_is_whole { of_b } else { Binding::Free })));
    all
}
