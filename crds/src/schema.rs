//! Schemas that several kinds share.

use schemars::{Schema, SchemaGenerator, json_schema};
use shekara_policy::Category;

/// A list of categories of data, each once.
pub fn categories(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = Category::all().map(Category::as_str).collect();
    json_schema!({"type": "array", "maxItems": 32, "x-kubernetes-list-type": "set", "items": {"type": "string", "enum": names}})
}

/// One category of data.
pub fn category(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = Category::all().map(Category::as_str).collect();
    json_schema!({"type": "string", "enum": names})
}

/// A list of categories or families of categories, each once.
pub fn category_patterns(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = ["biometric.*", "vehicle.*"].into_iter().chain(Category::all().map(Category::as_str)).collect();
    json_schema!({"type": "array", "minItems": 1, "maxItems": 32, "x-kubernetes-list-type": "set", "items": {"type": "string", "enum": names}})
}

/// A country: ISO 3166-1 alpha-2.
pub fn country(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[A-Z]{2}$", "maxLength": 2})
}

/// A list of countries, each once.
pub fn countries(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "minItems": 1, "maxItems": 64, "x-kubernetes-list-type": "set", "items": {"type": "string", "pattern": "^[A-Z]{2}$", "maxLength": 2}})
}

/// An instant (RFC 3339).
pub fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}

/// A day, as `2026-11-20`.
pub fn date(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date", "maxLength": 10})
}

/// A duration, as [`crate::duration()`] reads it.
pub fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^([0-9]{1,12}[dhms])+$", "maxLength": 32})
}

/// A size in bytes, as [`crate::quantity::bytes`] reads it.
pub fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?([kMGTPE]|[KMGTPE]i|[eE][0-9]{1,2})?$", "maxLength": 24})
}

/// Digests of images, each once.
pub fn digests(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 64, "x-kubernetes-list-type": "set", "items": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "maxLength": 71}})
}

/// TCP or UDP ports, at least one, each once.
pub fn ports(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "minItems": 1, "maxItems": 64, "x-kubernetes-list-type": "set", "items": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535}})
}

/// Labels by name.
pub fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 63}})
}

/// A number of things.
pub fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}

/// Numbers of things by name.
pub fn counts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 16, "additionalProperties": {"type": "integer", "format": "int64", "minimum": 0}})
}

/// The conditions of an object, one of each type.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 16, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object", "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 63, "description": "What is said of the object."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so."},
                "reason": {"type": "string", "maxLength": 63, "description": "A stable code for why."},
                "message": {"type": "string", "maxLength": 4096, "description": "A sentence that a person can act on."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "description": "The generation of the spec that this was said of."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "maxLength": 64, "description": "When the status last changed."}
            }
        }
    })
}
