//! The plugins' own stores.

mod common;

use std::sync::Arc;
use windlass_contract::capability::{State, StateError};
use windlass_store::{MAX_KEY_BYTES, MAX_KEYS, MAX_VALUE_BYTES, Store};

async fn opened() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    (dir, store)
}

fn of(store: &Store, plugin: &str) -> Arc<dyn State> {
    store.plugin_state(&plugin.parse().expect("a sound name")).expect("it is not read-only")
}

fn key(text: &str) -> String {
    text.to_owned()
}

#[tokio::test]
async fn set_get_delete() {
    let (dir, store) = opened().await;
    let state = of(&store, "acme:slack");
    assert_eq!(state.get(key("a")).await, Ok(None));
    state.set(key("a"), vec![0, 1]).await.expect("it fits");
    state.set(key("a"), vec![2]).await.expect("it fits");
    state.set(key("empty"), vec![]).await.expect("an empty value is a value");
    assert_eq!(state.get(key("a")).await, Ok(Some(vec![2])));
    assert_eq!(state.get(key("empty")).await, Ok(Some(vec![])));
    assert_eq!(of(&store, "acme:other").get(key("a")).await, Ok(None), "each plugin has its own");
    state.delete(key("empty")).await.expect("it is gone");
    state.delete(key("empty")).await.expect("and stays so");
    store.close().await;
    assert!(matches!(state.set(key("a"), vec![]).await, Err(StateError::Unavailable(_))));
    let again = Store::open(dir.path()).await.expect("it opens");
    assert_eq!(of(&again, "acme:slack").get(key("a")).await, Ok(Some(vec![2])));
    assert_eq!(of(&again, "acme:slack").keys(String::new()).await, Ok(vec![key("a")]));
}

#[tokio::test]
async fn no_character_means_anything() {
    let (_dir, store) = opened().await;
    let state = of(&store, "acme:slack");
    let keys = ["%", "_", "a", "a\0b", "a'; DROP TABLE runs; --", "ab", "ä", "😀"];
    for text in keys {
        state.set(key(text), text.as_bytes().to_vec()).await.expect("it fits");
    }
    for text in keys {
        assert_eq!(state.get(key(text)).await, Ok(Some(text.as_bytes().to_vec())), "{text:?}");
    }
    let check = async |prefix: &str, expect: &[&str]| {
        assert_eq!(state.keys(key(prefix)).await.expect("a list"), expect, "{prefix:?}");
    };
    check("", &keys).await;
    check("a", &["a", "a\0b", "a'; DROP TABLE runs; --", "ab"]).await;
    check("a\0", &["a\0b"]).await;
    check("%", &["%"]).await;
    check("ä", &["ä"]).await;
    check("z", &[]).await;
}

#[tokio::test]
async fn limits() {
    let (_dir, store) = opened().await;
    let state = of(&store, "acme:slack");
    let refused = |result: Result<(), StateError>| match result {
        Err(StateError::TooLarge(why)) => why,
        other => panic!("it is over a limit, not {other:?}"),
    };
    state.set("k".repeat(MAX_KEY_BYTES), vec![0; MAX_VALUE_BYTES]).await.expect("just fits");
    let why = refused(state.set("k".repeat(MAX_KEY_BYTES + 1), vec![]).await);
    assert_eq!(why, "the key has 256 bytes; at most 255 are kept");
    assert_eq!(refused(state.set(String::new(), vec![]).await), "the key is empty; it has 1 to 255 bytes");
    let why = refused(state.set(key("v"), vec![0; MAX_VALUE_BYTES + 1]).await);
    assert_eq!(why, "the value has 65537 bytes; at most 65536 are kept: use an artifact for more");
    refused(state.compare_and_set(key("v"), None, vec![0; MAX_VALUE_BYTES + 1]).await);

    for n in 1..MAX_KEYS {
        state.set(format!("{n}"), vec![]).await.expect("it fits");
    }
    assert_eq!(refused(state.set(key("new"), vec![]).await), "the plugin keeps 1000 keys already: delete some first");
    state.set(key("1"), vec![1]).await.expect("what is there can be changed");
    of(&store, "acme:other").set(key("new"), vec![]).await.expect("another plugin has room");
    state.delete(key("1")).await.expect("it is gone");
    state.set(key("new"), vec![]).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn comparing_loses_no_change() {
    const TASKS: u64 = 8;
    const EACH: u64 = 20;
    let (_dir, store) = opened().await;
    let state = of(&store, "acme:slack");
    assert_eq!(state.compare_and_set(key("n"), Some(vec![]), vec![]).await, Err(StateError::Conflict));
    let count = |state: Arc<dyn State>| async move {
        for _ in 0..EACH {
            loop {
                let present = state.get(key("n")).await.expect("an answer");
                let n = present.as_deref().map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes")));
                match state.compare_and_set(key("n"), present, (n + 1).to_le_bytes().to_vec()).await {
                    Ok(()) => break,
                    Err(StateError::Conflict) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(count(Arc::clone(&state)))).collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(state.get(key("n")).await, Ok(Some((TASKS * EACH).to_le_bytes().to_vec())));
}
