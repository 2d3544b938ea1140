//! Amounts of memory, as `step.container_run` reads them: within bounds, and what is written back is read the same.
//! Its subject is a plugin's, so this stands beside the other targets; the plugin's test `corpus` replays what is kept.

use serde::Deserialize;
use windlass_container::config::Memory;

/// An amount of memory.
pub fn sizes(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = |text: &str| Memory::deserialize(&serde_json::Value::from(text)).map(Memory::mib);
    match read(text) {
        Ok(mib) => {
            assert!((6..=16 * 1024 * 1024).contains(&mib), "{text:?} is {mib} MiB");
            assert!(text.is_ascii() && !text.contains(['+', '-', ' ']), "{text:?} is a number to nobody");
            for unit in ["m", "Mi", "MB"] {
                assert_eq!(read(&format!("{mib}{unit}")).ok(), Some(mib));
            }
            assert_eq!(read(&format!("{}k", u64::from(mib) * 1024)).ok(), Some(mib));
        }
        Err(error) => assert!(error.to_string().contains("write a number with its unit"), "{error}"),
    }
}
