//! Names that could be taken for one another.
//!
//! A new plugin is compared with every plugin there is. Within one namespace, which one owner holds, only names that look
//! the same are refused; across namespaces also those that one slip of the finger separates.

use crate::accounts::Namespace;
use windlass_contract::PluginName;

/// Shortest name for which one edit counts as a slip: among shorter ones, too many words are one letter apart.
const SHORTEST_SLIP: usize = 5;

/// What a name looks like at a glance: without separators, look-alikes folded together.
fn skeleton(text: &str) -> String {
    let folded: String = text
        .chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .map(|c| match c {
            '0' => 'o',
            '1' | 'i' => 'l',
            '5' => 's',
            c => c,
        })
        .collect();
    folded.replace("rn", "m").replace("vv", "w")
}

fn slip(a: &str, b: &str) -> bool {
    a.len().min(b.len()) >= SHORTEST_SLIP && strsim::osa_distance(a, b) == 1
}

/// The existing name that `new` is too like, if there is one. A name that is there already is not new.
pub(crate) fn too_like<'a>(new: &PluginName, existing: &'a [PluginName]) -> Option<&'a PluginName> {
    if existing.contains(new) {
        return None;
    }
    existing.iter().find(|old| {
        let same_look = |a: &str, b: &str| skeleton(a) == skeleton(b);
        if old.namespace() == new.namespace() {
            return same_look(old.name(), new.name());
        }
        let like = |a: &str, b: &str| a == b || same_look(a, b) || slip(a, b);
        like(old.namespace(), new.namespace()) && like(old.name(), new.name())
    })
}

/// The existing namespace that a new one is too like, if there is one.
pub(crate) fn namespace_too_like<'a>(new: &Namespace, existing: &'a [Namespace]) -> Option<&'a Namespace> {
    let like = |a: &str, b: &str| a != b && (skeleton(a) == skeleton(b) || slip(a, b));
    existing.iter().find(|old| like(old.as_str(), new.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness() {
        let check = |old: &str, new: &str, expect: bool| {
            let existing = [old.parse().unwrap()];
            assert_eq!(too_like(&new.parse().unwrap(), &existing).is_some(), expect, "{new} beside {old}");
        };
        check("acme:aws-deploy", "acme:awsdeploy", true);
        check("acme:aws-deploy", "acme:aws-dep1oy", true);
        check("acme:modem", "acme:modern", true);
        check("acme:deploy-v1", "acme:deploy-v2", false); // one owner
        check("acme:aws-deploy", "acme:aws-deploy", false); // not new
        check("windlass:shell", "windlas:shell", true);
        check("windlass:shell", "wind-lass:shell", true);
        check("windlass:shell", "w1ndlass:she11", true);
        check("windlass:shell", "windlass-labs:shell", false);
        check("windlass:shell", "acme:shell", false);
        check("ab:shell", "ac:shell", false);
    }

    #[test]
    fn likeness_of_namespaces() {
        let check = |old: &str, new: &str, expect: bool| {
            let existing = [old.parse().unwrap()];
            assert_eq!(namespace_too_like(&new.parse().unwrap(), &existing).is_some(), expect, "{new} beside {old}");
        };
        check("acme-tools", "acmetools", true);
        check("acme-tools", "acme-tool", true);
        check("modern", "modem", true);
        check("acme", "acne", false); // too short for a slip
        check("acme", "acme", false); // not new
        check("acme", "other", false);
    }
}
