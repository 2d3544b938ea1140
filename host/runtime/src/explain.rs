//! From an error of the engine to words.

use crate::{
    error::{CallError, Limit, LimitReport, NotGranted, Place, TrapReport},
    guest::{Guest, Halt},
    limits,
};
use wasmtime::{Trap, WasmBacktrace, component::ResourceTableError};

/// Why a call ended with `error`.
pub(crate) fn explain(error: &wasmtime::Error, guest: &Guest, place: Place) -> CallError {
    let limit = |limit, words: String| {
        CallError::Limit(Box::new(LimitReport { place: place.clone(), limit, words, log: guest.log.tail() }))
    };
    match error.downcast_ref::<Halt>() {
        Some(Halt::NotGranted(interface)) => {
            let interfaces = vec![*interface];
            return CallError::NotGranted(Box::new(NotGranted { place, interfaces }));
        }
        Some(Halt::Limit(which, words)) => return limit(*which, words.clone()),
        None => {}
    }
    if let Some(refused) = guest.quota.refused {
        let words = match refused {
            Limit::Tables => format!("it asked for more than {} elements of tables", limits::TABLE_ELEMENTS),
            _ => format!("it asked for more than {} of memory", limits::size(guest.memory_max() as u64)),
        };
        return limit(refused, words);
    }
    let handles = || limit(Limit::Handles, format!("it holds more than {} handles", limits::HANDLES));
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return handles();
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match not_contract(*trap) {
            Some(words) => CallError::Contract { place: Box::new(place), words: words.to_owned() },
            None => CallError::Trap(Box::new(TrapReport {
                place,
                words: words(*trap),
                frames: frames(error),
                log: guest.log.tail(),
            })),
        };
    }
    // The engine has no types for these.
    let text = error.root_cause().to_string();
    if text.contains("handle limit exceeded") {
        return handles();
    }
    if text.contains("fuel allocated for hostcalls") {
        let bytes = limits::size(limits::HOST_CALL_BYTES as u64);
        return limit(Limit::HostCallBytes, format!("it passed more than {bytes} to the host in one call"));
    }
    if text.contains("count too high") || text.contains("exceeds the") && text.contains("configured maximum") {
        let words = format!(
            "it has more than {} core instances, {} memories or {} tables",
            limits::CORE_INSTANCES,
            limits::MEMORIES,
            limits::TABLES
        );
        return limit(Limit::Instances, words);
    }
    CallError::Contract { place: Box::new(place), words: text }
}

/// Traps by which the engine says that what the guest passed or returned is not what its types promise.
fn not_contract(trap: Trap) -> Option<&'static str> {
    Some(match trap {
        Trap::InvalidChar => "it passed a character that is none",
        Trap::StringOutOfBounds => "it passed a text that lies outside its memory",
        Trap::ListOutOfBounds => "it passed a list that lies outside its memory",
        Trap::InvalidDiscriminant => "it passed a case that the type does not have",
        Trap::UnalignedPointer => "it passed an address that is not aligned",
        Trap::NoAsyncResult => "it ended without an answer",
        Trap::TaskCancelOrReturnTwice => "it answered twice",
        Trap::AsyncDeadlock => "it waits for something that nobody will do",
        _ => return None,
    })
}

fn words(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => {
            "it gave up (`unreachable`): a panic, a failed assertion or an abort; its last log lines may say why".into()
        }
        Trap::StackOverflow => format!(
            "it used up its stack of {}, probably by a recursion without an end",
            limits::size(limits::STACK_BYTES as u64)
        ),
        Trap::MemoryOutOfBounds => "out of bounds memory access: it read or wrote outside its memory".into(),
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
            format!("it called through a function pointer that is not one ({})", plain(trap))
        }
        Trap::UncaughtException => "it threw an exception that nobody caught".into(),
        other => plain(other),
    }
}

fn plain(trap: Trap) -> String {
    trap.to_string().trim_start_matches("wasm trap: ").to_owned()
}

/// The guest's frames, innermost first, as the engine demangles them, without the module's name and the hash that
/// Rust's older mangling adds.
fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    backtrace
        .to_string()
        .lines()
        .filter_map(|line| line.trim_start().split_once(" - "))
        .filter(|(place, _)| place.starts_with(|c: char| c.is_ascii_digit()))
        .map(|(_, name)| {
            let name = name.split_once('!').map_or(name, |(_, function)| function);
            let name = match name.rsplit_once("::h") {
                Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => path,
                _ => name,
            };
            name.chars().take(limits::TAIL_LINE_CHARS).collect()
        })
        .take(limits::FRAMES)
        .collect()
}
