//! YAML into a tree whose every node knows where it stands.
//!
//! Owns the limits on what is parsed, and what of YAML a rules file has: one document of maps, lists
//! and scalars, without anchors and aliases, by which a small file could become a large one. Knows
//! no key of the rules.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

use crate::rules::error::{Complaint, Fault, Place};

/// A value and where it stands.
pub(super) type Node = Spanned<Value>;

/// What stands there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Flag(bool),
    List(Vec<Node>),
    /// No key twice.
    Map(Vec<(Spanned<String>, Node)>),
    Nothing,
    /// Any number, NaN and the infinite ones too.
    Number(f64),
    Text(String),
}

impl Value {
    /// What it is, for somebody who meant something else.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Flag(_) => "true or false",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Nothing => "empty",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
        }
    }
}

/// The one document of `text`; `None` where it holds comments at most.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Complaint> {
    let document: Option<Node> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| complaint(error.without_snippet()))?;
    Ok(document.filter(|node| node.value != Value::Nothing))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_aliases: 0,
            max_anchors: 0,
            max_depth: MAX_DEPTH,
            max_documents: 1,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn complaint(error: &Error) -> Complaint {
    let fault = match error {
        Error::AliasError { error, .. } => return complaint(error),
        Error::Budget {
            breach: BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. },
            ..
        }
        | Error::UnknownAnchor { .. } => Fault::Alias,
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => Fault::TooDeep,
        Error::Budget {
            breach: BudgetBreach::Documents { .. },
            ..
        }
        | Error::MultipleDocuments { .. } => Fault::SecondDocument,
        Error::Budget { .. } => Fault::TooMuch,
        Error::DuplicateMappingKey { key, .. } => {
            return Complaint {
                place: error.location().map(Place::from),
                key: key.clone().unwrap_or_default(),
                fault: Fault::KeyTwice,
            };
        }
        _ => Fault::Syntax(UserMessageFormatter.format_message(error).into_owned()),
    };
    Complaint {
        place: error.location().map(Place::from),
        key: String::new(),
        fault,
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Place {
        Place {
            line: location.line(),
            column: location.column(),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, a number, true or false, a list or a map")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

/// The grammar has four levels; some more, so that what is too deep is told by its key.
const MAX_DEPTH: usize = 16;
