//! The interfaces that a component exports beside the contract's, and whether a later version of it still has them.
//!
//! WIT's types are structural: whatever is added to a record, a variant or a function's parameters changes it for everybody who
//! was built against it. So a function stays as it was written, all its types followed to the end, or it is another one.

use std::collections::BTreeMap;
use windlass_contract::CONTRACT_PACKAGE;
use wit_parser::{
    Handle, Resolve, Type, TypeDefKind, TypeOwner, WorldItem,
    decoding::{DecodedWasm, decode},
};

/// How deep types are followed; a component that was validated has none that go on for ever.
const MAX_TYPE_DEPTH: usize = 64;

/// The functions of each exported interface by name, as they are written.
pub(super) type Interfaces = BTreeMap<String, BTreeMap<String, String>>;

/// The interfaces that a component exports, without those of the contract.
///
/// # Errors
/// In words, when it cannot be read.
pub(super) fn exported(wasm: &[u8]) -> Result<Interfaces, String> {
    let DecodedWasm::Component(resolve, world) = decode(wasm).map_err(|error| error.to_string())? else {
        return Err("it is no component".to_owned());
    };
    let mut found = Interfaces::new();
    for (key, item) in &resolve.worlds[world].exports {
        let name = resolve.name_world_key(key);
        if name.starts_with(CONTRACT_PACKAGE) {
            continue;
        }
        let functions = match item {
            WorldItem::Interface { id, .. } => resolve.interfaces[*id].functions.iter().collect::<Vec<_>>(),
            WorldItem::Function(function) => vec![(&function.name, function)],
            WorldItem::Type { .. } => continue,
        };
        let written = functions.into_iter().map(|(name, function)| {
            let parameters = function
                .params
                .iter()
                .map(|parameter| format!("{}: {}", parameter.name, written(&resolve, &parameter.ty, MAX_TYPE_DEPTH)));
            let result = function.result.as_ref().map(|ty| format!(" -> {}", written(&resolve, ty, MAX_TYPE_DEPTH)));
            let text = format!("({}){}", parameters.collect::<Vec<_>>().join(", "), result.unwrap_or_default());
            (name.clone(), text)
        });
        found.insert(name, written.collect());
    }
    Ok(found)
}

/// A type followed to the end.
fn written(resolve: &Resolve, ty: &Type, depth: usize) -> String {
    let Type::Id(id) = ty else { return format!("{ty:?}").to_lowercase() };
    let Some(depth) = depth.checked_sub(1) else { return "…".to_owned() };
    let inner = |ty: &Type| written(resolve, ty, depth);
    let option = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), inner);
    let list = |all: Vec<String>| all.join(", ");
    let definition = &resolve.types[*id];
    match &definition.kind {
        TypeDefKind::Type(ty) => inner(ty),
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.name, inner(&field.ty)));
            format!("record {{{}}}", list(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| format!("{}({})", case.name, option(&case.ty)));
            format!("variant {{{}}}", list(cases.collect()))
        }
        TypeDefKind::Enum(all) => {
            format!("enum {{{}}}", list(all.cases.iter().map(|case| case.name.clone()).collect()))
        }
        TypeDefKind::Flags(all) => {
            format!("flags {{{}}}", list(all.flags.iter().map(|flag| flag.name.clone()).collect()))
        }
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", list(tuple.types.iter().map(inner).collect())),
        TypeDefKind::Option(ty) => format!("option<{}>", inner(ty)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", option(&result.ok), option(&result.err)),
        TypeDefKind::List(ty) => format!("list<{}>", inner(ty)),
        TypeDefKind::Future(ty) => format!("future<{}>", option(ty)),
        TypeDefKind::Stream(ty) => format!("stream<{}>", option(ty)),
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", inner(&Type::Id(*id))),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", inner(&Type::Id(*id))),
        TypeDefKind::Resource => {
            let owner = match definition.owner {
                TypeOwner::Interface(id) => resolve.id_of(id).unwrap_or_default(),
                _ => String::new(),
            };
            format!("resource {owner}/{}", definition.name.as_deref().unwrap_or_default())
        }
        // What later versions of WIT bring: as this library shows it, which is the same for the same type.
        other => format!("{other:?}"),
    }
}

/// What of these interfaces is not there any more, or is another; each in words.
pub(super) fn breaks(old: &Interfaces, new: &Interfaces) -> Vec<String> {
    let mut all = Vec::new();
    for (name, functions) in old {
        let Some(now) = new.get(name).or_else(|| successor(name, new)) else {
            all.push(format!("it does not export {name} any more"));
            continue;
        };
        for (function, before) in functions {
            match now.get(function) {
                None => all.push(format!("{name} has no function {function} any more")),
                Some(after) if after != before => {
                    all.push(format!("{name}: {function} was {before} and is {after}"));
                }
                Some(_) => {}
            }
        }
    }
    all
}

/// The same interface in a later compatible version.
fn successor<'a>(name: &str, new: &'a Interfaces) -> Option<&'a BTreeMap<String, String>> {
    let (path, version) = name.split_once('@')?;
    let range: semver::VersionReq = format!("^{version}").parse().ok()?;
    let found = new.iter().find(|(name, _)| {
        name.split_once('@').is_some_and(|(other, version)| {
            other == path && version.parse::<semver::Version>().is_ok_and(|version| range.matches(&version))
        })
    });
    found.map(|(_, functions)| functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces(all: &[(&str, &[(&str, &str)])]) -> Interfaces {
        let mut found = Interfaces::new();
        for (name, functions) in all {
            let functions = functions.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            found.insert((*name).to_owned(), functions.collect());
        }
        found
    }

    #[test]
    fn what_a_component_exports() {
        let component = |result: &str| {
            let text = format!(
                r#"(component
                    (core module $m (func (export "f") (param i32) (result i32) local.get 0))
                    (core instance $i (instantiate $m))
                    (type $t (func (param "n" u32) (result {result})))
                    (func $f (type $t) (canon lift (core func $i "f")))
                    (instance $api (export "count" (func $f)))
                    (export "acme:greet/api@1.0.0" (instance $api)))"#
            );
            exported(&wat::parse_str(text).unwrap()).unwrap()
        };
        let (old, new) = (component("u32"), component("s32"));
        assert_eq!(old, interfaces(&[("acme:greet/api@1.0.0", &[("count", "(n: u32) -> u32")])]));
        assert_eq!(breaks(&old, &new), ["acme:greet/api@1.0.0: count was (n: u32) -> u32 and is (n: u32) -> s32"]);
    }

    #[test]
    fn what_breaks() {
        let old = interfaces(&[("acme:greet/api@1.2.0", &[("hello", "(name: string) -> string")])]);
        let check = |new: &[(&str, &[(&str, &str)])], expect: &str| {
            assert_eq!(breaks(&old, &interfaces(new)).join("; "), expect);
        };
        check(&[("acme:greet/api@1.2.0", &[("hello", "(name: string) -> string"), ("more", "()")])], "");
        check(&[("acme:greet/api@1.3.0", &[("hello", "(name: string) -> string")])], "");
        check(
            &[("acme:greet/api@2.0.0", &[("hello", "(name: string) -> string")])],
            "it does not export acme:greet/api@1.2.0 any more",
        );
        check(&[("acme:greet/api@1.2.0", &[])], "acme:greet/api@1.2.0 has no function hello any more");
        check(
            &[("acme:greet/api@1.2.0", &[("hello", "(name: string, loud: bool) -> string")])],
            "acme:greet/api@1.2.0: hello was (name: string) -> string and is (name: string, loud: bool) -> string",
        );
    }
}
