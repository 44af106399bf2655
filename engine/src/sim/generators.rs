//! Generators: the mappings in a tree whose key begins with `$`. The first key of each names it and holds its argument.

use super::language::MOST_CHILDREN;
use crate::topology::shape::{Key, Kind, Shape};

/// All generators, in the order of the reference.
pub static GENERATORS: [&Shape; 17] = [
    &CHOICE, &WEIGHTED, &CHANCE, &IF, &INT, &DECIMAL, &DIGITS, &HEX, &UUID, &TIME, &EACH, &ONE, &LINK, &MERGE, &LOWER,
    &TEXT, &ABSENT,
];

macro_rules! generator {
    ($name:ident, $called:literal, $about:literal, [$($key:expr),* $(,)?]) => {
        #[doc = $about]
        pub static $name: Shape = Shape { name: $called, about: $about, keys: &[$($key),*], one_of: &[] };
    };
}

generator!(
    CHOICE,
    "a $choice generator",
    "One of several values, each as likely.",
    [Key::new("$choice", Kind::List(&Kind::Tree(&GENERATORS)), "The values.").required().like("[Oslo, Lima]"),]
);
generator!(
    WEIGHTED,
    "a $weighted generator",
    "One of several values, by weight.",
    [Key::new(
        "$weighted",
        Kind::List(&Kind::Tuple(&[Kind::Between(0.0, f64::MAX), Kind::Tree(&GENERATORS)])),
        "Pairs of a weight and a value."
    )
    .required()
    .like("[[9, paid], [1, null]]"),]
);
generator!(
    CHANCE,
    "a $chance generator",
    "One value at a rate, else another.",
    [
        Key::new("$chance", Kind::Between(0.0, 1.0), "The share of `then`.").required(),
        Key::new("then", Kind::Tree(&GENERATORS), "The value at that rate; else null."),
        Key::new("else", Kind::Tree(&GENERATORS), "The other value; else null."),
    ]
);
generator!(
    IF,
    "an $if generator",
    "One value or another, by a condition.",
    [
        Key::new("$if", Kind::Tree(&GENERATORS), "The condition: null, false, 0 and what is empty are not true.")
            .required(),
        Key::new("then", Kind::Tree(&GENERATORS), "The value where it is true; else null."),
        Key::new("else", Kind::Tree(&GENERATORS), "The value where it is not; else null."),
    ]
);
generator!(
    INT,
    "an $int generator",
    "A whole number in between, both ends included.",
    [Key::new(
        "$int",
        Kind::Tuple(&[Kind::Within(i64::MIN, i64::MAX), Kind::Within(i64::MIN, i64::MAX)]),
        "The least and the greatest."
    )
    .required()
    .like("[1, 500]"),]
);
generator!(
    DECIMAL,
    "a $decimal generator",
    "A number in between.",
    [Key::new(
        "$decimal",
        Kind::Tuple(&[Kind::Between(f64::MIN, f64::MAX), Kind::Between(f64::MIN, f64::MAX), Kind::Within(0, 9)]),
        "The least, the greatest, and the digits behind the point.",
    )
    .required()
    .like("[1, 500, 2]"),]
);
generator!(
    DIGITS,
    "a $digits generator",
    "A text of so many decimal digits.",
    [Key::new("$digits", Kind::Within(1, 64), "How many.").required(),]
);
generator!(
    HEX,
    "a $hex generator",
    "A text of so many hexadecimal digits.",
    [Key::new("$hex", Kind::Within(1, 64), "How many.").required(),]
);
generator!(
    UUID,
    "a $uuid generator",
    "The text of a UUID.",
    [Key::new("$uuid", Kind::Bool, "Always `true`.").required(),]
);
generator!(
    TIME,
    "a $time generator",
    "An instant as text, perhaps some time behind another one.",
    [
        Key::new("$time", Kind::Tree(&GENERATORS), "The instant: `event.at`, or `born` of an entity.").required(),
        Key::new("add", Kind::Tuple(&[Kind::Duration(0), Kind::Duration(0)]), "From so much to so much later.")
            .like("[0s, 2h]"),
        Key::new("format", Kind::Text, "As strftime has it, or `ms`: a number of milliseconds.")
            .or("\"%Y-%m-%dT%H:%M:%S%.3f%:z\""),
        Key::new("offset", Kind::Within(-1439, 1439), "The zone in minutes east of Greenwich.").or("0"),
    ]
);
generator!(
    EACH,
    "an $each generator",
    "A list with a value for each child of the parent in sight.",
    [
        Key::new("$each", Kind::Reference, "An entity that is declared with `of`.").required(),
        Key::new(
            "ids",
            Kind::Tree(&GENERATORS),
            "Only those whose ids are in this text, between commas; all where it is null."
        ),
        Key::new("hide", Kind::Object(&HIDE), "Some are not in the first answers that would show them."),
        Key::new("value", Kind::Tree(&GENERATORS), "What each becomes; it sees the child.").required(),
    ]
);
generator!(
    ONE,
    "a $one generator",
    "An entity of a pool: as a value its id, and `{entity.attribute.x}` leads on to its `x`.",
    [Key::new("$one", Kind::Reference, "An entity that has a pool.").required(),]
);
generator!(
    LINK,
    "a $link generator",
    "The address of a file on the simulation's server, signed as `files` says.",
    [
        Key::new("$link", Kind::Tree(&GENERATORS), "Its path, perhaps with a query.").required(),
        Key::new(
            "at",
            Kind::Tree(&GENERATORS),
            "When it is signed. In an answer, if it is left out, when that is given; an event must say it."
        ),
        Key::new("valid", Kind::Duration(1), "For how long, in place of what `files` says; goes with `at`."),
    ]
);
generator!(
    MERGE,
    "a $merge generator",
    "The members of several mappings; of two with one name the later.",
    [Key::new("$merge", Kind::List(&Kind::Tree(&GENERATORS)), "The mappings.").required(),]
);
generator!(
    LOWER,
    "a $lower generator",
    "A text in lower case.",
    [Key::new("$lower", Kind::Tree(&GENERATORS), "The text.").required(),]
);
generator!(
    TEXT,
    "a $text generator",
    "A value as text; null stays null.",
    [Key::new("$text", Kind::Tree(&GENERATORS), "The value.").required(),]
);
generator!(
    ABSENT,
    "an $absent generator",
    "Nothing: the member or element is left out.",
    [Key::new("$absent", Kind::Bool, "Always `true`.").required(),]
);

/// `hide` of `$each`.
pub static HIDE: Shape = Shape {
    name: "what is hidden",
    about: "Children that are not visible at once.",
    keys: &[
        Key::new("rate", Kind::Between(0.0, 1.0), "The share of children.").required(),
        Key::new("calls", Kind::Within(0, MOST_CHILDREN), "In how many answers each of them is missing.").required(),
    ],
    one_of: &[],
};
