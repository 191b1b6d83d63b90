//! The JSON Schema of scenario files, for editors and validators.
//!
//! It is generated from the types that read the file, and shaped so that validators can say what is wrong: a
//! step is one object with exactly one property, not a choice of objects, and a set of words is an `enum`.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::application::HealthUrl;
use super::archive::ShellCommand;
use super::backup::{MaxRate, Switch};
use super::cluster::{FIXTURE_TABLES, FixtureTable, IcuLocale, Locale, SegmentSize, TablespaceName};
use super::compress::Compress;
use super::disaster::{DisasterArguments, DisasterMapping, WORDS};
use super::dump::Jobs;
use super::file::{CheckArguments, Entries, File, NoArguments, SqlArguments, SqlMapping};
use super::objectives::RpoWord;
use super::queries::{NumberText, QueryName, QueryText, RoleName, RowCount};
use super::slot::Slot;
use super::sweep::{FEWEST_REPEATS, MOST_REPEATS, MOST_TARGETS, Repeats, Targets};
use super::target::{
    Instant, MarkName, Position, RestorePoint, TargetArguments, TargetMapping, TimelineWord, Xid,
};
use super::value::{
    Database, FaultName, FindingCode, MOST_ORDERS, Majors, Orders, Seed, SettingName, SettingValue, Span,
    Statement, Title,
};
use super::watch::{AlertArguments, AlertMapping, AlertName, MOST_SCALE, Scale};
use super::work::{MOST_WRITERS, Rate, Transactions, WalBytes, WorkArguments, WorkMapping, Writers};
use crate::alert::ALERTS;
use crate::check::CHECKS;
use crate::code::CODES;
use crate::fault::FAULTS;
use crate::units::Major;

/// A duration as humantime reads it, with a digit that is not zero. Months and years are longer than any
/// drill.
const DURATION: &str = concat!(
    "^(?=.*[1-9])\\s*([0-9]+(\\.[0-9]+)?\\s*",
    "(nsec|ns|usec|us|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|",
    "hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w)\\s*)+$",
);
/// A whole number with underscores between its digits.
const NUMBER: &str = "^(0|[1-9][0-9]*(_[0-9]+)*)$";
/// An instant in microseconds with its offset.
const INSTANT: &str = concat!(
    "^\\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-5][0-9]([.,][0-9]{1,6})?)?",
    "([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)\\s*$",
);
/// A compression in `pg_basebackup`'s notation.
const COMPRESS: &str = concat!(
    "^(none|(client-|server-)?(gzip(:(level=)?[1-9])?|lz4(:(level=)?([1-9]|1[0-2]))?|",
    "zstd(:((level=)?-?[0-9]+|workers=[0-9]+|long(=[a-z0-9]+)?)(,((level=)?-?[0-9]+|workers=[0-9]+|long(=[a-z0-9]+)?))*)?))$",
);
/// One end or both ends of a range of majors.
const MAJORS: &str = "^\\s*(>=|>|<=|<|=)?[0-9]{1,3}(\\s+(>=|>|<=|<)[0-9]{1,3})?\\s*$";

/// The JSON Schema (draft 2020-12) of scenario files.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<File>();
    RecursiveTransform(words).transform(&mut schema);
    schema.insert("title".to_owned(), json!("pgdrill scenario"));
    schema.to_value()
}

/// Turns a choice of constants, which is how an enum with comments arrives, into a set of words.
fn words(schema: &mut Schema) {
    let Some(Value::Array(choices)) = schema.get("oneOf") else {
        return;
    };
    let choice = |choice: &Value| Some((choice.get("const")?.clone(), choice.get("description")?.clone()));
    let Some(choices) = choices.iter().map(choice).collect::<Option<Vec<_>>>() else {
        return;
    };
    let (mut constants, mut descriptions): (Vec<Value>, Vec<Value>) = choices.into_iter().unzip();
    schema.remove("oneOf");
    schema.insert("type".to_owned(), json!("string"));
    // Validators that read YAML 1.1 see on and off as booleans.
    for (word, boolean) in [("off", false), ("on", true)] {
        if let Some(place) = constants.iter().position(|constant| constant == word) {
            constants.push(json!(boolean));
            descriptions.extend(descriptions.get(place).cloned());
            schema.insert("type".to_owned(), json!(["string", "boolean"]));
        }
    }
    schema.insert("enum".to_owned(), Value::Array(constants));
    schema.insert("enumDescriptions".to_owned(), Value::Array(descriptions));
}

impl<T: JsonSchema> JsonSchema for Slot<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<V: JsonSchema> JsonSchema for Entries<SettingName, V> {
    fn schema_name() -> Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_.]*$" },
            "additionalProperties": V::json_schema(generator),
        })
    }
}

impl<V: JsonSchema> JsonSchema for Entries<TablespaceName, V> {
    fn schema_name() -> Cow<'static, str> {
        "Tablespaces".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^(?!pg_)[a-z][a-z0-9_]{0,62}$" },
            "additionalProperties": V::json_schema(generator),
        })
    }
}

impl<V: JsonSchema> JsonSchema for Entries<FaultName, V> {
    fn schema_name() -> Cow<'static, str> {
        "Faults".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> =
            FAULTS.iter().filter(|entry| entry.fault.makes_mutants()).map(|entry| entry.name).collect();
        json_schema!({
            "type": "object",
            "propertyNames": { "enum": names },
            "additionalProperties": V::json_schema(generator),
        })
    }
}

macro_rules! value_schemas {
    ($($value:ty => $schema:expr;)+) => {
        $(impl JsonSchema for $value {
            fn schema_name() -> Cow<'static, str> {
                stringify!($value).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })+
    };
}

value_schemas! {
    Title => json_schema!({
        "type": "string",
        "pattern": "^\\s*[^\\s\\x00-\\x1f\\x7f][^\\x00-\\x1f\\x7f]*\\s*$",
        "examples": ["Restore a compressed tar backup"],
    });
    Majors => json_schema!({
        "type": ["integer", "string"],
        "minimum": Major::OLDEST.0,
        "maximum": 999,
        "pattern": MAJORS,
        "examples": [15, ">=13", ">=13 <18"],
    });
    Seed => json_schema!({
        "type": ["integer", "string"],
        "minimum": 0,
        "maximum": u64::MAX,
        "pattern": NUMBER,
        "default": 42,
    });
    Orders => json_schema!({
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": MOST_ORDERS,
        "pattern": "^[1-9][0-9]*(_[0-9]+)*$",
        "default": 10_000,
    });
    Span => json_schema!({ "type": "string", "pattern": DURATION, "examples": ["30s", "1m 30s", "10m"] });
    Switch => json_schema!({ "type": ["string", "boolean"], "pattern": "^(on|off|true|false)$" });
    Compress => json_schema!({
        "type": "string",
        "pattern": COMPRESS,
        "examples": ["none", "gzip", "zstd:3", "server-lz4", "client-gzip:9", "server-zstd:level=3,workers=2,long"],
    });
    MaxRate => json_schema!({
        "type": ["integer", "string"],
        "minimum": 32,
        "maximum": 1 << 20,
        "pattern": "^[1-9][0-9]*(_[0-9]+)*[kM]?$",
        "examples": ["512k", "32M"],
    });
    Jobs => json_schema!({
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": 64,
        "pattern": "^[1-9][0-9]?$",
        "examples": [2],
    });
    Locale => json_schema!({
        "type": "string",
        "pattern": "^(C|POSIX|[A-Za-z][A-Za-z0-9_@-]*\\.[Uu][Tt][Ff]-?8(@[A-Za-z0-9]+)?)$",
        "examples": ["C", "en_US.UTF-8"],
    });
    IcuLocale => json_schema!({
        "type": "string",
        "pattern": "^[A-Za-z][A-Za-z0-9_@=;-]{0,62}$",
        "examples": ["en-US", "de-u-co-phonebk"],
    });
    SegmentSize => json_schema!({
        "type": "string",
        "enum": (0..=10).map(|power| format!("{}MB", 1 << power)).collect::<Vec<_>>(),
    });
    MarkName => json_schema!({
        "type": "string",
        "pattern": "^(?!(latest|immediate|baseline)$)[a-z][a-z0-9-]{0,62}$",
        "examples": ["before-accident"],
    });
    Instant => json_schema!({
        "type": "string",
        "pattern": INSTANT,
        "examples": ["2026-03-01 04:05:06.789+00:00"],
    });
    Xid => json_schema!({
        "type": ["integer", "string"],
        "minimum": 3,
        "maximum": u32::MAX,
        "pattern": "^[1-9][0-9]*(_[0-9]+)*$",
    });
    Position => json_schema!({
        "type": "string",
        "pattern": "^(?!0+/0+$)[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$",
        "examples": ["0/3000060"],
    });
    RestorePoint => json_schema!({ "type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]{1,63}$" });
    TimelineWord => json_schema!({
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": u32::MAX,
        "pattern": "^(latest|current|[1-9][0-9]*)$",
    });
    Writers => json_schema!({
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": MOST_WRITERS,
        "pattern": "^[1-9][0-9]?$",
        "default": 4,
    });
    Transactions => json_schema!({
        "type": ["integer", "string"],
        "minimum": 1,
        "pattern": "^[1-9][0-9]*(_[0-9]+)*$",
    });
    WalBytes => json_schema!({
        "type": "string",
        "pattern": "^\\s*(?!0+\\s*[KMG])[0-9]+(_[0-9]+)*\\s*(KiB|MiB|GiB)\\s*$",
        "examples": ["64MiB"],
    });
    Rate => json_schema!({
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": 1_000_000,
        "pattern": "^[1-9][0-9]*(_[0-9]+)*$",
    });
    RpoWord => json_schema!({
        "type": "string",
        "pattern": format!(
            "{}|^\\s*(any|[0-9]+(_[0-9]+)*\\s*(transactions?|KiB|MiB|GiB))\\s*$",
            DURATION
        ),
        "examples": ["0 transactions", "5s", "16MiB", "any"],
    });
    Targets => json_schema!({
        "type": ["integer", "string"],
        "minimum": FEWEST_REPEATS,
        "maximum": MOST_TARGETS,
        "pattern": "^([3-9]|[1-9][0-9]+|[1-9][0-9]*(_[0-9]+)+)$",
        "default": 100,
    });
    Repeats => json_schema!({
        "type": ["integer", "string"],
        "minimum": FEWEST_REPEATS,
        "maximum": MOST_REPEATS,
        "pattern": "^([3-9]|[1-9][0-9]|100)$",
        "default": FEWEST_REPEATS,
    });
    FixtureTable => json_schema!({ "type": "string", "enum": FIXTURE_TABLES });
    Statement => json_schema!({ "type": "string", "pattern": "\\S" });
    ShellCommand => json_schema!({
        "type": "string",
        "pattern": "\\$(ARCHIVE|\\{ARCHIVE\\})",
        "maxLength": 400,
    });
    HealthUrl => json_schema!({
        "type": "string",
        "pattern": "^https?://[^\\s/:?#@][^\\s/?#@]*([/?#]\\S*)?$",
        "examples": ["http://127.0.0.1:4001/api/healthz"],
    });
    Database => json_schema!({ "type": "string", "minLength": 1, "maxLength": 63 });
    QueryName => json_schema!({
        "type": "string",
        "pattern": "^\\s*[^\\s\\x00-\\x1f\\x7f][^\\x00-\\x1f\\x7f]*\\s*$",
        "maxLength": 60,
        "examples": ["no order without an audit row"],
    });
    QueryText => json_schema!({ "type": "string", "pattern": "\\S" });
    RoleName => json_schema!({ "type": "string", "minLength": 1, "maxLength": 63 });
    NumberText => json_schema!({
        "type": ["number", "string"],
        "pattern": "^-?(0|[1-9][0-9]*(_[0-9]+)*)(\\.[0-9]+)?$",
        "examples": [1_000, "0.5"],
    });
    RowCount => json_schema!({
        "type": ["integer", "string"],
        "minimum": 0,
        "pattern": "^(0|[1-9][0-9]*(_[0-9]+)*)$",
    });
    SettingValue => json_schema!({ "type": ["string", "number", "boolean"], "pattern": "^[^\\r\\n]*$" });
    FindingCode => json_schema!({
        "type": "string",
        "enum": CODES.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        "enumDescriptions": CODES.iter().map(|entry| entry.meaning).collect::<Vec<_>>(),
    });
    FaultName => json_schema!({
        "type": "string",
        "enum": FAULTS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        "enumDescriptions": FAULTS.iter().map(|entry| entry.doc).collect::<Vec<_>>(),
    });
    AlertName => json_schema!({
        "type": "string",
        "enum": ALERTS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        "enumDescriptions": ALERTS.iter().map(|entry| entry.doc).collect::<Vec<_>>(),
    });
    Scale => json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST_SCALE });
    NoArguments => json_schema!({
        "type": ["string", "object", "null"],
        "pattern": "^all$",
        "maxProperties": 0,
    });
}

impl JsonSchema for SqlArguments {
    fn schema_name() -> Cow<'static, str> {
        "SqlArguments".into()
    }

    /// The mapping's schema, for which a text also does.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = SqlMapping::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "object"]));
        schema.insert("pattern".to_owned(), json!("\\S"));
        schema
    }
}

impl JsonSchema for AlertArguments {
    fn schema_name() -> Cow<'static, str> {
        "AlertArguments".into()
    }

    /// The mapping's schema, for which a name also does.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = ALERTS.iter().map(|entry| entry.name).collect();
        let mut schema = AlertMapping::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "object"]));
        schema.insert("pattern".to_owned(), json!(format!("^({})$", names.join("|"))));
        schema
    }
}

impl JsonSchema for TargetArguments {
    fn schema_name() -> Cow<'static, str> {
        "TargetArguments".into()
    }

    /// The mapping's schema, for which a word also does.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = TargetMapping::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "object"]));
        schema.insert("pattern".to_owned(), json!("^[a-z][a-z0-9-]{0,62}$"));
        schema.insert("minProperties".to_owned(), json!(1));
        schema.insert("examples".to_owned(), json!(["latest", "immediate", "baseline", "before-accident"]));
        schema
    }
}

impl JsonSchema for DisasterArguments {
    fn schema_name() -> Cow<'static, str> {
        "DisasterArguments".into()
    }

    /// The mapping's schema, for which most disasters' names do.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = DisasterMapping::json_schema(generator);
        let names: Vec<&str> = WORDS.iter().map(|(name, _)| *name).collect();
        let said: Vec<String> = WORDS.iter().map(|(name, doc)| format!("{name}: {doc}")).collect();
        schema.insert("type".to_owned(), json!(["string", "object"]));
        schema.insert("pattern".to_owned(), json!(format!("^({})$", names.join("|"))));
        schema.insert("examples".to_owned(), json!(names));
        schema.insert("$comment".to_owned(), json!(said.join(" ")));
        schema
    }
}

impl JsonSchema for WorkArguments {
    fn schema_name() -> Cow<'static, str> {
        "WorkArguments".into()
    }

    /// The mapping's schema, for which `stop` and nothing also do.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = WorkMapping::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "object", "null"]));
        schema.insert("pattern".to_owned(), json!("^stop$"));
        schema
    }
}

impl JsonSchema for CheckArguments {
    fn schema_name() -> Cow<'static, str> {
        "CheckArguments".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        for entry in CHECKS {
            let mut arguments = NoArguments::json_schema(generator);
            arguments.insert(
                "description".to_owned(),
                json!(format!("{} Does not see: {}", entry.doc, entry.blind)),
            );
            properties.insert(entry.name.to_owned(), arguments.to_value());
        }
        json_schema!({
            "type": ["string", "object", "null"],
            "pattern": "^all$",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
        })
    }
}
