//! Somebody's first plugin, from nothing to a running step, in each language.

use windlass_tests::newcomer::walk;

#[test]
fn rust() {
    walk("rust");
}

#[test]
fn javascript() {
    walk("js");
}

#[test]
fn typescript() {
    walk("ts");
}

#[test]
fn python() {
    walk("py");
}

#[test]
fn c() {
    walk("c");
}
