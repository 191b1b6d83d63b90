//! The shape of a step in the schema: one object that has exactly one of several properties, so that validators
//! can say what is wrong with it.

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Turns a choice of objects with one property each into one object that has exactly one of the properties.
pub(super) fn one_property(schema: &mut Schema) {
    let Some(Value::Array(choices)) = schema.remove("oneOf") else {
        return;
    };
    let mut properties = Map::new();
    let mut bare = Vec::new();
    for choice in choices {
        let Some(Value::Object(choice_properties)) = choice.get("properties") else {
            continue;
        };
        for (name, arguments) in choice_properties {
            let mut arguments = arguments.clone();
            if let (Some(arguments), Some(description)) =
                (arguments.as_object_mut(), choice.get("description"))
            {
                arguments.insert("description".to_owned(), description.clone());
                // Where every argument has a default, the arguments may be left out, and the bare name will
                // do.
                if arguments.get("type") == Some(&json!("object")) && !arguments.contains_key("required") {
                    arguments.insert("type".to_owned(), json!(["object", "null"]));
                }
                let kinds = arguments.get("type").and_then(Value::as_array);
                if kinds.is_some_and(|kinds| kinds.contains(&json!("null"))) {
                    bare.push(name.clone());
                }
            }
            properties.insert(name.clone(), arguments);
        }
    }
    schema.insert("type".to_owned(), json!(["object", "string"]));
    schema.insert("pattern".to_owned(), json!(format!("^({})$", bare.join("|"))));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("minProperties".to_owned(), json!(1));
    schema.insert("maxProperties".to_owned(), json!(1));
    schema.insert("additionalProperties".to_owned(), json!(false));
}
