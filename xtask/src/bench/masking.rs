//! Masking, beside copying the same bytes.

use super::figures::{Figure, Report, Samples, Unit};
use std::{hint::black_box, time::Instant};
use windlass_capabilities::Masker;
use windlass_contract::{Digest, SecretValue};

const ROUNDS: usize = 9;
/// The text of a round, in bytes.
const BYTES: usize = 64 << 20;
/// What an engine hands over at once, in bytes.
const CHUNK: usize = 32 << 10;
/// A line of the text holds a value, one of so many.
const LINES_TO_A_VALUE: usize = 100;

/// Text of lines of 100 bytes that no value stands in by chance.
pub(crate) fn noise(seed: u64) -> impl FnMut() -> [u8; 100] {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz .,:-/";
    let mut state = seed;
    move || {
        let mut line = [b'\n'; 100];
        for byte in &mut line[..99] {
            // Knuth's MMIX generator: the same text in each run.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = LETTERS[(state >> 59) as usize];
        }
        line
    }
}

/// The value of the `n`-th secret: 24 characters.
pub(crate) fn secret(n: usize) -> String {
    Digest::of(format!("secret {n}").as_bytes()).hex()[..24].to_owned()
}

pub(crate) fn measure(report: &mut Report) {
    let mut line = noise(1);
    let mut text = Vec::with_capacity(BYTES + 200);
    let mut n = 0;
    while text.len() < BYTES {
        text.extend_from_slice(&line());
        n += 1;
        if n % LINES_TO_A_VALUE == 0 {
            text.extend_from_slice(secret(n / LINES_TO_A_VALUE % 10).as_bytes());
        }
    }
    let maskers = [0, 10, 50, 200].map(|secrets| {
        let masker = Masker::new();
        (0..secrets).for_each(|n| {
            masker.add(&SecretValue::new(secret(n).into_bytes()));
        });
        // The first use builds the table.
        masker.mask("");
        (secrets, masker, Samples::default(), Samples::default())
    });
    let mut maskers = maskers;
    let mut out = Vec::with_capacity(2 * CHUNK);
    for _ in 0..ROUNDS {
        for (_, masker, ours, floor) in &mut maskers {
            let began = Instant::now();
            let mut stream = masker.stream();
            for chunk in text.chunks(CHUNK) {
                out.clear();
                stream.push(chunk, &mut out);
                black_box(&out);
            }
            out.clear();
            stream.finish(&mut out);
            ours.value(rate(text.len(), began));
            let began = Instant::now();
            for chunk in text.chunks(CHUNK) {
                out.clear();
                out.extend_from_slice(black_box(chunk));
                black_box(&out);
            }
            floor.value(rate(text.len(), began));
        }
    }
    for (secrets, _, ours, floor) in maskers {
        let figure = Figure::new("masking a stream", format!("{secrets} secrets"), Unit::BytesPerSecond, &ours);
        report.add(figure.over("copying it", &floor));
    }
}

/// Bytes a second.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
pub(crate) fn rate(bytes: usize, began: Instant) -> f64 {
    bytes as f64 / began.elapsed().as_secs_f64()
}
