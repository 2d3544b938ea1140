//! `windlass plugin verify`.

use super::super::print_json;
use crate::{
    app::App,
    exit::{Exit, coded},
    style,
};
use windlass_package::{
    installed::{self, Health},
    lock::Locked,
};

pub(super) fn verify(app: &App, json: bool) -> anyhow::Result<Exit> {
    let all = installed::verify(&app.home, &app.project).map_err(coded)?;
    let bad = all.iter().any(|(_, health)| *health != Health::Sound);
    let words = |locked: &Locked, health: &Health| match health {
        Health::Sound => "sound".to_owned(),
        Health::Missing => "not on this machine; windlass plugin install".to_owned(),
        Health::Damaged { found } => format!("DAMAGED: its bytes have the digest {found}, not {}", locked.digest),
        Health::BadSignature { why } => format!("BAD SIGNATURE: {why}"),
    };
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|(locked, health)| {
                serde_json::json!({
                    "name": locked.name, "version": locked.version, "digest": locked.digest,
                    "sound": *health == Health::Sound, "words": words(locked, health),
                })
            })
            .collect();
        print_json(&rows)?;
    } else {
        for (locked, health) in &all {
            let sound = *health == Health::Sound;
            let sign = if sound { style::paint(style::GOOD, "✔") } else { style::paint(style::ERROR, "✘") };
            let digest = if sound { style::paint(style::FAINT, locked.digest) } else { String::new() };
            let line = format!("{sign} {}@{} {} {digest}", locked.name, locked.version, words(locked, health));
            anstream::println!("{}", line.trim_end());
        }
    }
    Ok(if bad { Exit::Infrastructure } else { Exit::Success })
}
