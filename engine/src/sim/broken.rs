//! What people get wrong in a simulation: one slip in a good one, one problem, exactly under the slip, and what to do about it.

use super::parse;
use crate::topology::Source;

const GOOD: &str = include_str!("good.yaml");

/// A code, what is replaced, by what, what the carets stand under, and words of the message, of what was expected or of the help.
type Slip = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const SLIPS: &[Slip] = &[
    // The form of the file.
    ("E0100", "key: \"{event.id}\"", "key: \"{event.id}", "\"", "this quote is never closed"),
    ("E0103", "key: \"{event.id}\"", "key: {event.id}", "{event.id}", "write `\"{event.id}\"`"),
    ("E0101", "entities:\n", "entites:\n", "entites", "did you mean `entities`?"),
    ("E0101", "    pool: {first: 5", "    pool: {frist: 5", "frist", "did you mean `first`?"),
    ("E0101", "    pool: {first: 5, every: 4, window: 10}", "    first: 5\n    pool: {every: 4, window: 10}", "first", "put it below `pool`"),
    ("E0101", "    ORDERED: {weight: 1", "    ORDERED: {wieght: 1", "wieght", "did you mean `weight`?"),
    ("E0101", "{rate: 0.1, status: 503}", "{rate: 0.1, staus: 503}", "staus", "did you mean `status`?"),
    ("E0101", "then: \"{item.id}.png\"}", "than: \"{item.id}.png\"}", "than", "did you mean `then`?"),
    ("E0101", "value: {id: \"{item.id}\"", "vlaue: {id: \"{item.id}\"", "vlaue", "did you mean `value`?"),
    ("E0102", "  topic: shop.orders\n", "", "events", "needs the key `topic`"),
    ("E0102", "    answer: {label: \"{path.order}\"}\n", "    answer:\n", "answer", "`answer` has no value"),
    ("E0102", "    per: [1, 4]\n", "", "item", "needs the key `per`"),
    ("E0102", "{weight: 1, pick: order", "{weight: 1", "ORDERED", "needs the key `pick`"),
    ("E0103", "step: 1s", "step: 1 second", "1 second", "write `1s`"),
    ("E0103", "start: 2026-01-01T00:00:00Z", "start: yesterday", "yesterday", "an instant such as"),
    ("E0103", "per: [1, 4]", "per: [1, 4, 9]", "[1, 4, 9]", "a list of 2"),
    ("E0103", "per: [1, 4]", "per: 4", "4", "a list of 2"),
    ("E0103", "{rate: 0.1, status: 503}", "{rate: 10, status: 503}", "10", "a number from 0 to 1"),
    ("E0103", "{rate: 0.1, status: 503}", "{rate: 0.1, status: 5030}", "5030", "from 100 to 599"),
    ("E0103", "kind: reset", "kind: rest", "rest", "did you mean `reset`?"),
    ("E0103", "kind: reset", "kind: slow", "slow", "one of `timeout`, `reset`, `truncated`"),
    ("E0103", "{$chance: 0.5,", "{$chance: 50,", "50", "a number from 0 to 1"),
    ("E0103", "{$choice: [Oslo, Lima, Pune]}", "{$choice: Oslo}", "Oslo", "write `[Oslo]`"),
    ("E0103", "{$hex: 4}", "{$hex: 400}", "400", "from 1 to 64"),
    ("E0103", "{$decimal: [1, 9, 2]}", "{$decimal: [1, 9]}", "[1, 9]", "a list of 3"),
    ("E0103", "size: [1KiB, 2KiB]", "size: [1KB, 2KiB]", "1KB", "write `1KiB`"),
    ("E0103", "language: 1", "language: 2", "2", "one of `1`"),
    ("E0104", "    id: 9000\n", "    id: 9000\n    id: 9001\n", "id", "stands twice, first in line"),
    ("E0105", "    of: order\n", "    of: order\n    pool: {first: 1}\n", "pool", "keep one of them"),
    ("E0105", "{rate: 0.1, status: 503}", "{rate: 0.1}", "{rate: 0.1}", "a fault needs one of `status`, `kind`"),
    ("E0105", "{rate: 0.1, status: 503}", "{rate: 0.1, status: 503, lasts: 1s}", "lasts", "last some time"),
    ("E0105", "kind: reset}", "kind: reset, retry_after: 1s}", "retry_after", "goes with `status`"),
    ("E0105", "    get: /api/orders/{order}\n", "    get: /api/orders/{order}\n    post: /api/orders/{order}\n", "post", "keep one of them"),
    ("E0105", "pool: {first: 3}", "pool: {first: 3}, per: [1, 2]", "per", "goes with `of`"),
    ("E0105", "key: [\"{event.id}\"]", "", "{table: orders, }", "an expectation needs one of `key`, `keys`"),
    ("E0106", "SHOP_URL: \"{url}/api\"", "SHOP-URL: \"{url}/api\"", "SHOP-URL", "letters, digits and `_`"),
    // Names of entities.
    ("E0503", "of: order\n", "of: ordr\n", "ordr", "did you mean `order`?"),
    ("E0503", "weight: 1, pick: order", "weight: 1, pick: odrer", "odrer", "did you mean `order`?"),
    ("E0503", "{$one: shipper}", "{$one: shiper}", "shiper", "did you mean `shipper`?"),
    ("E0503", "{$one: shipper}", "{$one: item}", "item", "has no pool of its own"),
    ("E0503", "{$each: item, ids", "{$each: itme, ids", "itme", "did you mean `item`?"),
    ("E0503", "{$each: item, ids", "{$each: shipper, ids", "shipper", "has no parent"),
    ("E0503", "bind: {order: ", "bind: {ordre: ", "ordre", "did you mean `order`?"),
    ("E0503", "get: /api/orders/{order}\n", "get: /api/orders/{oder}\n", "oder", "did you mean `order`?"),
    ("E0503", "  shipper: {id", "  shiper: {id", "shipper", "did you mean `shiper`?"),
    ("E0503", "  item:\n", "  itme:\n", "itme", "nothing names the entity `itme`"),
    ("E0503", "per: [1, 4]", "per: [0, 4]", "item", "let its `per` begin at 1"),
    ("E0503", "ADDED: {weight: 3, pick: item", "ADDED: {weight: 3, births: true, pick: item", "births", "no pool of its own"),
    ("E0504", "types: [ADDED]", "types: [ADED]", "ADED", "did you mean `ADDED`?"),
    // Names in sight, and what they have.
    ("E0207", "in {order.city}", "in {oder.city}", "oder", "did you mean `order`?"),
    ("E0207", "in {order.city}", "in {item.price}", "item", "what its type picks"),
    ("E0207", "item: \"{item.id?}\"", "item: \"{item.id}\"", "item.id", "write `{item.id?}`"),
    ("E0207", "answer: {data: \"{list}\"}", "answer: {data: \"{lst}\"}", "lst", "did you mean `list`?"),
    ("E0207", "ids: \"{query.ids}\"", "ids: \"{qury.ids}\"", "qury", "did you mean `query`?"),
    ("E0207", "SHOP_URL: \"{url}/api\"", "SHOP_URL: \"{ulr}/api\"", "ulr", "did you mean `url`?"),
    ("E0207", "  - {table: orders, key: [\"{event.id}\"]}", "  - {table: orders, key: [\"{item.id}\"]}", "item.id", "is not always there"),
    ("E0208", "in {order.city}", "in {order.ctiy}", "ctiy", "did you mean `city`?"),
    ("E0208", "in {order.city}", "in {order.shipper}", "shipper", "is a whole entity"),
    ("E0208", "{order.shipper.name}", "{order.shipper.nmae}", "nmae", "did you mean `name`?"),
    ("E0208", "price: \"{event.fields.price}\"", "price: \"{event.fields.prize}\"", "prize", "did you mean `price`?"),
    ("E0208", "type: \"{event.type}\"", "type: \"{event.kind}\"", "kind", "one of `at`, `fields`, `id`, `index`, `type`"),
    ("E0208", "id: {$uuid: true}\n", "id: \"e-{event.id}\"\n", "id", "one of `at`, `index`, `type`"),
    ("E0208", "{order.place.street}", "{order.place.stret}", "stret", "did you mean `street`?"),
    ("E0208", "label: \"{path.order}\"", "label: \"{path.odrer}\"", "odrer", "did you mean `order`?"),
    ("E0208", "      city: {$choice", "      ctiy: {$choice", "ctiy", "nothing names the attribute `ctiy`"),
    ("E0209", "      city: {$choice", "      index: 1\n      city: {$choice", "index", "has its own `index`"),
    ("E0209", "    get: /api/labels/{order}\n", "    get: /api/orders/{order}\n", "/api/orders/{order}", "`labels` answers it first"),
    // Texts and generators.
    ("E0121", "in {order.city}", "in {order.city", "{", "never closed"),
    ("E0502", "{$choice: [Oslo", "{$choise: [Oslo", "$choise", "did you mean `$choice`?"),
    ("E0502", "{$choice: [Oslo, Lima, Pune]}", "{$banana: 1}", "$banana", "one of `$choice`, `$weighted`"),
    ("E0502", "photo: {$chance: 0.5, then: \"{item.id}.png\"}", "photo: {$link: \"/files/a\"}", "$link", "say when it is signed"),
    ("E0502", "{$link: \"/files/{item.id}.png\"}", "{$link: \"/files/{item.id}.png\", valid: 1h}", "valid", "`valid` goes with `at`"),
    ("E0501", "{$choice: [Oslo, Lima, Pune]}", "{$choice: []}", "[]", "nothing to choose from"),
    ("E0501", "{$decimal: [1, 9, 2]}", "{$decimal: [9, 1, 2]}", "[9, 1, 2]", "write `[1, 9, 2]`"),
    ("E0501", "at: {$time: \"{order.born}\"}", "at: {$time: \"{order.born}\", format: \"%Y-%Q\"}", "\"%Y-%Q\"", "no format of strftime"),
    ("E0501", "label: \"{order.id} in {order.city}\"", "label: \"{order.label}!\"", "label", "is made from itself"),
    ("E0501", "of: order\n", "of: item\n", "item", "belongs to itself"),
    // Numbers that do not go together.
    ("E0501", "per: [1, 4]", "per: [4, 1]", "[4, 1]", "write `[1, 4]`"),
    ("E0501", "size: [1KiB, 2KiB]", "size: [2KiB, 1KiB]", "[2KiB, 1KiB]", "the smaller one comes first"),
    ("E0501", "size: [1KiB, 2KiB]", "size: [1KiB, 2GiB]", "2GiB", "at most `256MiB`"),
    ("E0501", "duplicates: [{rate: 0.05", "duplicates: [{rate: 0.95", "duplicates", "nine of ten"),
    ("E0501", "{rate: 0.1, status: 503}", "{rate: 0.99, status: 503}", "faults", "more than 1"),
    ("E0212", "get: /api/orders/{order}\n", "get: api/orders/{order}\n", "api/orders/{order}", "a path such as"),
    ("E0212", "under: /files/\n", "under: /files\n", "/files", "begins and ends with `/`"),
    ("E0212", "{under: /files/gone/", "{under: /gone/", "/gone/", "a path below `/files/`"),
];

/// What each slip of the table gives, if it is not what is told there.
fn mismatch(slip: &Slip) -> Option<String> {
    let (code, from, to, under, says) = slip;
    if !GOOD.contains(from) {
        return Some(format!("`{from}` is not in the simulation"));
    }
    let text = GOOD.replacen(from, to, 1);
    let source = Source::new("s.yaml", text);
    let problems = match parse(source.clone()) {
        Ok(_) => return Some(format!("{code} by `{to}`: accepted")),
        Err(problems) => problems,
    };
    let [problem] = problems.items.as_slice() else {
        return Some(format!("{code} by `{to}`: {} problems\n{problems}", problems.items.len()));
    };
    let found = source.under(&problem.position);
    let words = [Some(&problem.message), problem.expected.as_ref(), problem.help.as_ref()];
    let said = words.into_iter().flatten().any(|text| text.contains(says));
    let fits = problem.code == *code && said && found == *under;
    (!fits).then(|| {
        format!("{code} by `{to}`: {} under `{found}`, expected `{under}` and `{says}`\n{problems}", problem.code)
    })
}

#[test]
fn one_slip_is_one_problem_under_the_slip() {
    parse(Source::new("s.yaml", GOOD)).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(SLIPS.len() >= 80);
    let failures: Vec<String> = SLIPS.iter().filter_map(mismatch).collect();
    assert!(failures.is_empty(), "{} of {} fail\n{}", failures.len(), SLIPS.len(), failures.join("\n"));
}

#[test]
fn all_problems_are_told_at_once() {
    let text = GOOD
        .replace("step: 1s", "step: soon")
        .replace("in {order.city}", "in {order.ctiy}")
        .replace("types: [ADDED]", "types: [ADED]")
        .replace("get: /api/orders/{order}\n", "get: api\n");
    let problems = parse(Source::new("s.yaml", text)).unwrap_err();
    let codes: Vec<&str> = problems.items.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["E0208", "E0103", "E0212", "E0504"], "{problems}");
}
